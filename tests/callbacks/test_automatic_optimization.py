"""A user's LightningModule with automatic optimization trains like limner's own models."""

import os
import signal
from pathlib import Path

import pytest
import torch

from limner.callbacks.signals import SeedPerUpdate
from support.runs import last_checkpoint

RUN = [
    "--config-dir", "mine", "model=plain", "accelerator=cpu", "data.batch_size=64",
    "metrics=none", "logger=none", "trainer.max_steps=6", "model.noise=0.1",
    "~callbacks.pictures", "~callbacks.codes",
]  # fmt: skip


@pytest.fixture
def train(run, tmp_path):
    """Train the model in a folder and return its last checkpoint."""
    file = tmp_path / "mine" / "model" / "plain.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: support.plain.Autoencoder\noptimizer: ${optimizer}\nnoise: 0.1\n")

    def command(folder: str, *words: str, code: int = 0) -> dict:
        if words == ("resume",):
            result = run("--config-dir", "mine", f"resume={folder}")
        else:
            result = run(*RUN, *words, f"hydra.run.dir={folder}")
        assert result.code == code, (result.out, result.err)
        return torch.load(last_checkpoint(Path(folder)), weights_only=True)

    return command


def test_plain_module_trains_and_counts_updates(train):
    first, last = train("one", "trainer.max_steps=1"), train("six")
    assert last["global_step"] == 6
    assert not torch.equal(
        first["state_dict"]["layers.1.weight"], last["state_dict"]["layers.1.weight"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 4])
def test_plain_module_resumes_bit_for_bit(train, monkeypatch, accumulate):
    words = [f"gradients.accumulate={accumulate}", "gradients.max_norm=0.1"]
    whole = train("whole", *words)
    original, left = SeedPerUpdate.on_train_batch_start, [1]

    def strike(self, trainer, *arguments):
        if trainer.global_step == 3 and left:
            left.pop()
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", strike)
    assert train("parts", *words, code=1)["global_step"] == 4
    resumed = train("parts", "resume")
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(resumed[key], whole[key], rtol=0, atol=0)
    other = train("other", *words, "seed=1")
    assert not torch.equal(
        other["state_dict"]["layers.1.weight"], whole["state_dict"]["layers.1.weight"]
    )


def test_plain_module_accumulates_to_the_step_of_the_whole_batch(train):
    quiet = "model.noise=0.0"  # The random draws of the module itself depend on the micro-batches.
    whole = train("whole", quiet)["state_dict"]
    parts = train("parts", quiet, "gradients.accumulate=4")["state_dict"]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_plain_module_steps_at_most_by_the_clipped_gradient(train):
    """With SGD at a rate of 1, the weights move by the norm of the gradient."""
    words = ["optimizer=sgd", "optimizer.lr=1.0", "trainer.max_steps=1"]
    still = train("still", *words, "gradients.max_norm=1e-9")["state_dict"]
    moved = train("moved", *words, "gradients.max_norm=1e-3")["state_dict"]
    free = train("free", *words)["state_dict"]
    step = torch.cat([(moved[n] - still[n]).flatten() for n in still]).norm().item()
    assert step == pytest.approx(1e-3, rel=1e-2)
    assert torch.cat([(free[n] - still[n]).flatten() for n in still]).norm().item() > 2e-3
