"""The callback that scores a model of two domains during training."""

import json

import lightning as L
import pytest
import torch
from torch import nn

from limner.callbacks.domain_scores import DomainScores
from limner.callbacks.epochs import TrackEpochEnd
from limner.callbacks.measured import Measured
from limner.errors import UserError
from limner.models.lightning_internals import FitLoop
from limner.runs.scores import scores_tables
from support.any_size import FakeDomains, distances, outputs_of

CPU = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
    "enable_checkpointing": True, "enable_model_summary": False,
}  # fmt: skip


class Negative(L.LightningModule):
    """A perfect model of `FakeDomains` for factor 1; factor -1 copies."""

    reads_domains, ema = True, None

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def validation_step(self, batch, batch_idx):
        change = lambda x: -self.factor * x  # noqa: E731
        return outputs_of(batch, to_a=change, to_b=change)

    def training_step(self, batch, batch_idx):
        return self.factor.square()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Data(FakeDomains, L.LightningDataModule):
    """The fake domains as a data module."""

    def __init__(self, *sizes, **options):
        L.LightningDataModule.__init__(self)
        FakeDomains.__init__(self, *sizes, **options)

    def val_dataloader(self):
        batches = list(self.whole_pictures("validation", device=torch.device("cpu")))
        return torch.utils.data.DataLoader(batches, batch_size=None)

    train_dataloader = val_dataloader


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def callback(**changes):
    return DomainScores(**{
        "scores": ["cycle", "identity", "psnr", "ssim"], "distances": distances(),
        "perceptual": None, "baselines": ["input", "blur", "blend"], "slow_megapixels": 20.0,
        "objective": {"name": "val/kid_any", "mode": "min"},
    } | changes)  # fmt: skip


def fitted(folder, made, data=None, model=None, **options):
    folder.mkdir(exist_ok=True)
    measured = Measured()
    trainer = L.Trainer(
        max_epochs=1, callbacks=[measured, TrackEpochEnd(), made], num_sanity_val_steps=0,
        default_root_dir=folder, **CPU, **options,
    )  # fmt: skip
    trainer.fit_loop = FitLoop(trainer)
    trainer.fit(model or Negative(), data or Data())
    return json.loads((folder / "scores.json").read_text()), measured.at(trainer.global_step)


def test_training_writes_scores_of_both_domains_with_baselines(tmp_path):
    made = callback()
    found, measured = fitted(tmp_path, made)
    assert set(found) == made.names
    assert {name: measured[name] for name in found} == pytest.approx(
        {name: entry["value"] for name, entry in found.items()}, rel=1e-5
    )
    for name in ("val/psnr_ab", "val/psnr_ba"):
        assert found[name]["value"] > max(found[name]["baselines"].values()) + 3
    assert found["val/fid_any_a"]["value"] < 0.1 * found["val/fid_any_a"]["baselines"]["input"]
    assert found["val/kid_any"]["protocol"]["weights"] == "raw"
    again = callback()
    again.load_state_dict(made.state_dict())
    assert again.latest == found


def test_copying_beside_the_model_does_not_depend_on_the_model(tmp_path):
    perfect, _ = fitted(tmp_path / "perfect", callback())
    copies, _ = fitted(tmp_path / "copies", callback(), model=Negative(-1.0))
    for name, entry in copies.items():
        assert entry["baselines"] == perfect[name]["baselines"]
        assert entry["value"] == pytest.approx(entry["baselines"]["input"], abs=1e-6)


def test_domains_of_different_sizes_have_no_scores_of_pairs(tmp_path):
    found, _ = fitted(tmp_path, callback(), Data(5, 3, hidden_pairs=False))
    assert not [name for name in found if name.endswith(("_ab", "_ba"))]
    assert found["val/fid_any_a"]["protocol"]["images_compared"] == {
        "generated": 3, "reference": 5,
    }  # fmt: skip


def test_baselines_are_left_out_if_only_a_part_of_the_pairs_is_scored(tmp_path, caplog):
    found, _ = fitted(tmp_path, callback(), limit_val_batches=2)
    assert "baselines" not in found["val/psnr_ab"]
    assert "trainer.limit_val_batches=2 leaves some out" in caplog.text


def test_tables_of_both_domains_fit_80_columns(tmp_path):
    from rich.console import Console

    found, _ = fitted(tmp_path, callback())
    found["val/identity_loss_a"] = {"value": 0.12, "protocol": {"split": "validation"}}
    console = Console(width=80, record=True)
    for table in scores_tables(found):
        console.print(table)
    text = console.export_text()
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    for name in found:
        assert name in text
    assert "A to B: 4 validation pictures, rgb" in text
    assert "B to A: 4 validation pictures, rgb" in text
    assert any(line.startswith("val/kid_any_a") and line.endswith("4 pictures") for line in lines)


def test_model_that_reads_no_domains_is_refused():
    model = Negative()
    model.reads_domains = False
    with pytest.raises(UserError, match="Negative\ndoes not: choose metrics=auto"):
        L.Trainer(callbacks=[callback()], **CPU).validate(model, Data(), verbose=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": ["fid"]}, "metrics.scores: fid: choose from cycle, identity, psnr"),
        ({"scores": ["perceptual"]}, "needs metrics.perceptual"),
        ({"baselines": ["copy"]}, "metrics.baselines: copy: choose from input"),
    ],
)
def test_unknown_names_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        callback(**changes)
