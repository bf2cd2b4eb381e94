"""A resumed run equals an uninterrupted run to the bit, and what determinism costs."""

__all__ = ["resuming"]

import os
from collections.abc import Iterator
from pathlib import Path

import torch

import limner
from benchmarks.cases import CASES
from gpu_checks.context import Context, Finding
from gpu_checks.each import each
from gpu_checks.speed import time_limner
from gpu_checks.trainings import QUIET, data_words, device_words, narrow

FAMILIES = ("vae", "gan")
TIMED = "gan_dcgan_32"


def resuming(context: Context) -> Iterator[Finding]:
    """Compare the weights of runs, and measure the time of a deterministic update."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the GPU is first used
    yield from each(_resumed, FAMILIES, context, seconds=8)
    if not context.smallest:
        yield from each(_cost, [TIMED], context, seconds=8)


def _resumed(context: Context, family: str) -> list[Finding]:
    half = max(1, context.scale.num_updates // 2)
    words = [
        f"model={family}", *data_words(context), *device_words(context.device),
        *(word for word in QUIET if word != "~callbacks.checkpoints"),
    ]  # fmt: skip
    words += [*narrow(words, context.scale.width), "trainer.deterministic=true"]

    def train(name: str, num_updates: int, *more: str) -> Path:
        folder = context.folder / f"{family}_{name}"
        given = [f"resume='{folder}'", "trust=[benchmarks]"] if folder.exists() else [
            *words, f"hydra.run.dir='{folder}'"
        ]  # fmt: skip
        limner.train(*given, f"trainer.max_steps={num_updates}", *more)
        return folder

    whole = _weights(train("whole", 2 * half), 2 * half)
    train("parts", half)
    resumed = _weights(train("parts", 2 * half), 2 * half)
    other = _weights(train("other", 2 * half, "seed=1"), 2 * half)
    differing = _differing(whole, resumed)
    same = f"resumed at update {half} of {2 * half}"
    return [
        Finding(family, f"{same}: {differing} of {len(whole)} tensors differ", differing == 0),
        Finding(
            f"{family}, control", f"with another seed {_differing(whole, other)} tensors differ",
            _differing(whole, other) > 0,
        ),
    ]  # fmt: skip


def _cost(context: Context, name: str) -> list[Finding]:
    case = next(case for case in CASES if case.name == name)
    usual, fixed = (
        1000 * time_limner(case, context, f"trainer.deterministic={value}").seconds
        for value in ("false", "true")
    )
    found = f"{usual:.2f} ms, deterministic {fixed:.2f} ms: {fixed / usual:.2f} times"
    return [Finding(f"{name}, cost", found, values={"usual": usual, "deterministic": fixed})]


def _weights(folder: Path, update: int) -> dict[str, torch.Tensor]:
    file = folder / "checkpoints" / f"update_{update:08d}.ckpt"
    return torch.load(file, "cpu", weights_only=True)["state_dict"]


def _differing(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> int:
    """Return the number of tensors that are not equal to the bit."""
    return sum(not torch.equal(weights[name], others[name]) for name in weights)
