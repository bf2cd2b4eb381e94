"""Checkpoints are whole or not there, and the best is the best."""

import json

import pytest
import torch

from limner.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"n": 1}, path)

    def fail(checkpoint, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        AtomicCheckpointIO().save_checkpoint({"n": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"n": 1}


class _Trainer:
    """As much of a trainer as the choice of the best needs."""

    def __init__(self, values):
        self.callback_metrics = values


@pytest.mark.parametrize(("mode", "kept"), [("min", [5, 3, 2]), ("max", [5, 6])])
def test_the_best_is_chosen_by_mode(mode, kept):
    checkpoints = Checkpoints(
        every_num_updates=1, every_num_minutes=1, objective={"name": "val/x", "mode": mode}
    )
    values = [5, 3, 3, 6, 2]
    chosen = [v for v in values if checkpoints._has_improved(_Trainer({"val/x": v}))]
    assert chosen == kept
    assert not checkpoints._has_improved(_Trainer({"val/other": 0}))


def test_a_run_keeps_the_last_and_the_best(run):
    result = run(
        "trainer.max_epochs=3", "metrics.every_num_epochs=1", "metrics.num_samples=200",
        "callbacks.checkpoints.every_num_updates=5",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert last["global_step"] == 66
    (state,) = (v for k, v in best["callbacks"].items() if k.startswith("Checkpoints"))
    scores = json.loads((folder / "scores.json").read_text())
    assert state["best"] <= scores["val/fid_classifier"]["value"] + 1e-3
