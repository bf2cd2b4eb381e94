"""augmentation.png shows the first training images before and after the augmentation, once."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from limner.augmentations import HorizontalFlip
from limner.callbacks.augmentation_picture import AugmentationPicture, first_images
from limner.data.batches import TrainingBatches
from limner.data.store import MemoryStore
from limner.files.pictures import grid_box

FLIP = HorizontalFlip(probability=1.0)


class Logger:
    def __init__(self):
        self.pictures = []

    def log_image(self, **given):
        self.pictures.append(given)


def trainer(folder, *, augmentation=FLIP, step=0, first=True, num=20):
    images = torch.randint(0, 256, (50, 3, 16, 16), dtype=torch.uint8)
    batches = TrainingBatches(
        MemoryStore(images, None, fingerprint="x"), torch.arange(50), batch_size=num,
        batches_per_update=1, seed=3, rank=0, world_size=1, augmentation=augmentation,
        layout=torch.contiguous_format, update=lambda: step,
    )  # fmt: skip
    return SimpleNamespace(
        datamodule=SimpleNamespace(augmentation=augmentation), train_dataloader=batches,
        is_global_zero=first, global_step=step, default_root_dir=folder, loggers=[Logger()],
    )  # fmt: skip


def test_first_images_are_the_first_batch_before_and_after(tmp_path):
    given = trainer(tmp_path)
    before, after = first_images(given).values()
    assert torch.equal(after, next(iter(given.train_dataloader))["image"])
    assert torch.equal(after, before.flip(-1))
    assert given.train_dataloader.augmentation is FLIP, "the stream of training does not change"


def test_augmentation_picture_has_rows_before_and_after(tmp_path):
    given = trainer(tmp_path)
    AugmentationPicture(num_images=18).on_train_start(given, None)
    picture = Image.open(tmp_path / "augmentation.png")
    left, top, right, bottom = grid_box(picture)
    tile = 64 + 2
    assert (right - left, bottom - top) == (8 * tile + 2, 4 * tile + 2), "whole rows only"
    rows = [picture.crop((left, top + i * tile, right, top + (i + 1) * tile)) for i in range(2)]
    first, second = (row.crop((2, 2, 66, 66)) for row in rows)
    assert second.tobytes() == first.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    assert len(given.loggers[0].pictures) == 1


@pytest.mark.parametrize("given", [{"augmentation": None}, {"step": 5}, {"first": False}])
def test_augmentation_picture_is_only_for_augmented_new_runs_and_the_first_process(
    tmp_path, given
):
    AugmentationPicture(num_images=8).on_train_start(trainer(tmp_path, **given), None)
    assert not list(tmp_path.iterdir())


def test_augmentation_picture_asks_a_data_module_that_has_its_own_images(tmp_path):
    given = trainer(tmp_path)
    pair = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    given.datamodule.before_and_after = lambda: pair
    assert first_images(given) == {"before": pair[0], "after": pair[1]}
    AugmentationPicture(num_images=8).on_train_start(given, None)
    assert (tmp_path / "augmentation.png").is_file()


def test_augmentation_picture_has_a_third_row_for_the_inputs_of_the_model(tmp_path):
    given = trainer(tmp_path)
    three = [torch.full((8, 1, 16, 16), value) for value in (-1.0, 0.0, 1.0)]
    given.datamodule.before_and_after = lambda: three
    AugmentationPicture(num_images=8).on_train_start(given, None)
    picture = Image.open(tmp_path / "augmentation.png").convert("L")
    left, top, _, bottom = grid_box(picture)
    assert bottom - top == 3 * 66 + 2
    shown = [picture.getpixel((left + 34, top + 34 + 66 * row)) for row in range(3)]
    assert shown == pytest.approx([0, 128, 255], abs=1)


def test_augmentation_picture_shows_both_domains_below_each_other(tmp_path):
    given = trainer(tmp_path)
    labels = ("A before", "A after", "B before", "B after")
    found = {k: torch.full((20, 1, 16, 16), i / 2 - 1) for i, k in enumerate(labels)}
    given.datamodule.before_and_after = lambda: found
    assert first_images(given) is found
    AugmentationPicture(num_images=18).on_train_start(given, None)
    picture = Image.open(tmp_path / "augmentation.png").convert("L")
    left, top, _, bottom = grid_box(picture)
    assert bottom - top == 2 * 4 * 66 + 2, "two times four rows"
    shown = [picture.getpixel((left + 34, top + 34 + 66 * row)) for row in range(8)]
    assert shown == pytest.approx(2 * [0, 64, 128, 191], abs=1)


def test_augmentation_picture_does_nothing_for_batches_of_another_kind(tmp_path):
    given = trainer(tmp_path)
    given.train_dataloader = [{"image": torch.zeros(2, 1, 8, 8)}]
    assert first_images(given) is None


def test_augmentation_picture_refuses_no_images():
    with pytest.raises(ValueError, match="num_images=0"):
        AugmentationPicture(num_images=0)
