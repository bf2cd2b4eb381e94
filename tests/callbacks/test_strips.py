"""Strips show what a model read and made, mark the worst and the best, and ignore other models."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from limner.callbacks.epochs import TrackEpochEnd
from limner.callbacks.measured import Measured
from limner.callbacks.strip_tiles import TILE
from limner.callbacks.strips import Gallery, Strips
from limner.files.pictures import grid_box
from limner.metrics.picture_quality import PictureQuality
from limner.models.lightning_internals import FitLoop
from limner.pixels import to_float
from support.picture_pairs import FakePairs, smooth

QUALITY = PictureQuality(scores=["psnr"], colour="rgb", border=0, perceptual=None)


def gallery(*errors, num_images=6, size=(32, 48), scale=1):
    """Return a gallery of pictures whose outputs differ by these errors from their targets."""
    found = Gallery(QUALITY, num_images)
    for number, error in enumerate(errors):
        target = smooth(*size, seed=number)[None] * 0.5
        batch = {"image": target, "input": target[..., ::scale, ::scale]}
        found.add({"output": target + error}, batch)
    return found


def test_gallery_finds_the_worst_and_the_best_by_psnr():
    found = gallery(0.1, 0.3, 0.02, 0.2, num_images=2)
    assert len(found.first) == 2
    psnr = {name: strip.psnr for name, strip in found.extremes.items()}
    assert psnr["worst"] == pytest.approx(20 * np.log10(2 / 0.3), abs=0.1)
    assert psnr["best"] == pytest.approx(20 * np.log10(2 / 0.02), abs=1.5)  # 2.55 levels
    other = gallery(0.4, 0.25)
    other.take_extremes([found.extremes, other.extremes, {}])
    assert other.extremes["best"] is found.extremes["best"]
    assert other.extremes["worst"].psnr < psnr["worst"]


def test_picture_of_a_single_strip_shows_it_once():
    found = gallery(0.1)
    one = found.picture(found.extremes, title="Worst and best")
    assert (
        one.height == found.picture({"x": found.extremes["best"]}, title="Worst and best").height
    )
    both = gallery(0.1, 0.2)
    assert both.picture(both.extremes, title="Worst and best").height > one.height


def test_strip_shows_input_output_and_target_enlarged_by_a_whole_factor():
    (strip,) = gallery(0.25).first.values()
    assert strip.tiles.shape == (3, 3, TILE, TILE)
    small = to_float(strip.tiles[..., :160:5, :240:5])  # 256 // 48 = 5
    target = smooth(32, 48) * 0.5
    for tile, expected in zip(small, (target, target + 0.25, target), strict=True):
        torch.testing.assert_close(tile, expected, atol=0.01, rtol=0)
    assert (strip.tiles[..., 160:, :] == 255).all()


def test_strip_of_a_large_picture_shows_its_centre_at_its_own_size():
    (strip,) = gallery(0.0, size=(300, 400)).first.values()
    target = smooth(300, 400)[:, 22:278, 72:328] * 0.5
    torch.testing.assert_close(to_float(strip.tiles[2]), target, atol=0.01, rtol=0)


def test_strip_of_super_resolution_enlarges_the_most_detailed_place():
    target = torch.zeros(1, 3, 256, 256)
    target[..., 100:140:2, 170:210] = 1.0  # stripes
    found = Gallery(QUALITY, 1)
    found.add({"output": target}, {"image": target, "input": target[..., ::4, ::4]})
    tiles = to_float(found.first["picture 1"].tiles)
    assert len(tiles) == 6
    frame = (tiles[2] == torch.tensor([1.0, -1.0, -1.0])[:, None, None]).all(0).nonzero()
    (top, left), (bottom, right) = frame.min(0).values.tolist(), frame.max(0).values.tolist()
    assert (bottom - top, right - left) == (63, 63)
    assert top <= 100
    assert left <= 170
    assert bottom >= 139
    assert right >= 209
    zoomed = target[0, :, top : bottom + 1, left : right + 1]
    torch.testing.assert_close(tiles[5][:, ::4, ::4], zoomed, atol=0.01, rtol=0)


def test_gallery_shows_noise_beyond_the_range_and_grey_pictures():
    found = Gallery(QUALITY, 1)
    target = torch.zeros(1, 1, 16, 16)
    found.add({"output": target}, {"image": target, "input": target + 3})
    (strip,) = found.first.values()
    assert (strip.tiles[0, :, 0, 0] == 255).all()
    assert (strip.tiles[1, :, 0, 0] == 128).all()


def test_repeated_pictures_of_weight_0_are_not_shown():
    found = Gallery(QUALITY, 4)
    target = torch.zeros(1, 3, 16, 16)
    batch = {"image": target, "input": target, "weight": torch.zeros(1)}
    found.add({"output": target}, batch)
    assert not found.first
    assert not found.extremes


class Changes(L.LightningModule):
    """A model that returns its input."""

    reads_input, ema = True, None

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def validation_step(self, batch, batch_idx):
        return {"output": batch["input"]}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Data(FakePairs, L.LightningDataModule):
    """The fake pictures as a data module."""

    def __init__(self):
        L.LightningDataModule.__init__(self)
        FakePairs.__init__(self, lambda target, number: target - 0.1 * (number + 1))

    def train_dataloader(self):
        batches = list(self.whole_pictures("validation", device=torch.device("cpu")))
        return torch.utils.data.DataLoader(batches, batch_size=None)

    val_dataloader = train_dataloader


def fit(folder, model, *, every=4, epochs=3):
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[Measured(), TrackEpochEnd(), Strips(every_num_updates=every, num_images=2)],
    )  # fmt: skip
    trainer.fit_loop = FitLoop(trainer)
    trainer.fit(model, Data())


def test_strips_are_written_after_the_validation_that_follows_an_interval(tmp_path):
    fit(tmp_path, Changes())  # 3 updates an epoch, so validation follows updates 3, 6 and 9
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["update_00000006.png", "update_00000009.png"]
    with Image.open(tmp_path / "final.png") as picture:
        left, top, right, bottom = grid_box(picture)
        assert (right - left, bottom - top) == (3 * 258 + 2, 2 * 258 + 2)
    assert (tmp_path / "worst_and_best.png").is_file()


def test_strips_do_nothing_for_a_model_that_draws(tmp_path):
    model = Changes()
    model.reads_input = False
    fit(tmp_path, model)
    assert not list(tmp_path.rglob("*.png"))


class Translates(Changes):
    """A model that returns the pictures of both domains as they are."""

    reads_input, reads_domains = False, True

    def validation_step(self, batch, batch_idx):
        batch |= {"image_a": batch["input"], "image_b": batch["image"]}
        a, b = batch["image_a"], batch["image_b"]
        return {"output_b": a, "cycle_a": a, "output_a": b, "cycle_b": b}


def test_strips_of_a_model_that_translates_show_both_domains(tmp_path):
    fit(tmp_path, Translates())
    for name, rows in (("final.png", 4), ("worst_and_best.png", 2)):  # all have equal errors
        with Image.open(tmp_path / name) as picture:
            left, top, right, bottom = grid_box(picture)
            assert (right - left, bottom - top) == (3 * 258 + 2, rows * 258 + 2)


def test_strips_resume_with_the_update_of_the_validation_before():
    strips = Strips(every_num_updates=4, num_images=1)
    strips.load_state_dict({"validated": 6})
    trainer = SimpleNamespace(global_step=7)
    strips._gallery = gallery(0.1)
    written = []
    strips._write = lambda trainer, name: written.append(name)
    strips.on_validation_epoch_end(trainer, None)
    trainer.global_step = 9
    strips.on_validation_epoch_end(trainer, None)
    assert written == ["samples/update_00000009"]
    assert strips.state_dict() == {"validated": 9}


@pytest.mark.parametrize("changes", [{"every_num_updates": 0}, {"num_images": 0}])
def test_strips_refuse_numbers_below_1(changes):
    with pytest.raises(ValueError, match=r"callbacks\.strips"):
        Strips(**({"every_num_updates": 1, "num_images": 1} | changes))
