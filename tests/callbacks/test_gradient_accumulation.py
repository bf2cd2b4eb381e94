"""Micro-batches, several processes and whole batches give equal updates; gradients are clipped."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support.runs import last_checkpoint

ROOT = Path(__file__).parents[2]
COMMON = [
    "network=mlp", "data/augmentation=flip", "logger=none", "metrics=none",
    "trainer.limit_val_batches=0", "~callbacks.pictures", "~callbacks.codes",
    "trainer.max_steps=3",
]  # fmt: skip
MODELS = {
    "vae": ["model=vae", "model.ema_half_life=500"],
    "classifier": ["model=classifier"],
    "vaegan": ["model=vaegan", "gradients.max_norm=0.5"],
    "relativistic": [
        "model=cgan", "model/loss=relativistic", "model.num_discriminator_steps=2",
        "model/augmentation=diffaugment", "model/penalty=[r1,r2,lecam]",
    ],
    "wasserstein": ["model=gan", "model/loss=wasserstein", "model/augmentation=ada"],
    "auxiliary": ["model=gan", "model/condition=auxiliary", "gradients.max_norm=0.5"],
}  # fmt: skip


def weights(folder) -> dict[str, torch.Tensor]:
    saved = torch.load(last_checkpoint(Path(folder)), weights_only=True)
    return saved["state_dict"]


def difference(a: str, b: str) -> float:
    one, two = weights(a), weights(b)
    return max((one[name] - two[name]).abs().max().item() for name in one)


@pytest.mark.parametrize(
    "model",
    ["vae", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name != "vae")],
)
@pytest.mark.usefixtures("forking")
def test_micro_batches_and_processes_train_like_the_whole_batch(tmp_path, run, model):
    """The images and random numbers of an update do not depend on how they are divided."""
    common = [*MODELS[model], *COMMON]
    for folder, words in {"whole": [], "parts": ["gradients.accumulate=4"]}.items():
        one = [*common, *words, "accelerator=cpu", "data.batch_size=32"]
        result = run(*one, f"hydra.run.dir={folder}")
        assert result.code == 0, result.err
    two = [*common, "accelerator=ddp_cpu", "data.batch_size=16", "gradients.accumulate=2"]
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *two, "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert difference("whole", "parts") < 1e-5
    assert difference("whole", "two") < 1e-5


@pytest.mark.parametrize("model", ["vae", "gan"])
def test_fused_optimizers_clip_gradients_in_half_precision_too(run, model):
    words = ["optimizer=adam", "trainer.precision=bf16-mixed", "gradients.max_norm=0.1"]
    result = run(f"model={model}", *COMMON, *words)
    assert result.code == 0, result.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        "vae",
        "gan",
        "vaegan",
        "classifier",
    ],
)
def test_gradient_norm_stays_within_its_limit(run, model):
    """With SGD at a rate of 1, each network moves by the norm of its gradient."""
    common = [f"model={model}", *COMMON[:-1], "optimizer=sgd", "optimizer.lr=1.0"]
    for norm in ("1e-9", "1e-3"):
        words = ["trainer.max_steps=1", f"gradients.max_norm={norm}", "accelerator=cpu"]
        assert run(*common, *words, f"hydra.run.dir=n{norm}").code == 0
    before, after = weights("n1e-9"), weights("n1e-3")
    players = {
        "vae": ["network."],
        "gan": ["generator.", "discriminator."],
        "vaegan": ["network.", "discriminator."],
        "classifier": ["network."],
    }
    for player in players[model]:
        moved = [after[n] - before[n] for n in before if n.startswith(player)]
        norm = torch.cat([each.flatten() for each in moved]).norm().item()
        assert norm == pytest.approx(1e-3, rel=1e-2)
