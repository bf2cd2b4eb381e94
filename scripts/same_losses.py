"""Compare the first losses of this working tree with the losses of another commit.

    uv run python scripts/same_losses.py COMMIT [--updates 50] [--only gan ...]

A refactor must not change training. Each case is trained with the same seed for a few updates on
handwritten digits, once by COMMIT (in a temporary worktree) and once by this tree, and every
logged loss is compared. The last column is the largest relative difference; 0 means bit-identical.
The exit code is 1 if a difference is above 1e-6 or a column is missing.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = {
    "vae": ["model=vae"],
    "gan": ["model=gan"],
    "wgan_gp": ["model=gan", "model/loss=wasserstein", "model.num_discriminator_steps=2"],
    "cgan_ada": ["model=cgan", "model/augmentation=ada"],
    "vqvae": ["model=vqvae"],
    "pixelcnn": ["model=pixelcnn", "data.binarisation=dynamic"],
    "classifier": ["model=classifier", "metrics=accuracy"],
}
COMMON = [
    "metrics=none", "logger=csv", "accelerator=cpu", "data=digits", "~callbacks.progress",
    "callbacks.log.every_num_updates=1", "~callbacks.pictures",
]  # fmt: skip
UNCOMPARED = ("time/",)


def main() -> int:
    """Run the command line; return 1 if losses differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder, "other")
        _git("worktree", "add", "--quiet", "--detach", str(other), options.commit)
        try:
            print(f"{'case':12} {'updates':>8} {'columns':>8} {'largest difference':>20}")
            for name in options.only:
                words = [*CASES[name], *COMMON, f"trainer.max_steps={options.updates}"]
                rows = [
                    _losses(tree, words, Path(folder, f"{name}_{i}"))
                    for i, tree in enumerate((other, ROOT))
                ]
                num_columns, largest = _compare(*rows, name=name)
                worst = max(worst, largest)
                print(f"{name:12} {len(rows[0]):8} {num_columns:8} {largest:20.2g}", flush=True)
        finally:
            _git("worktree", "remove", "--force", str(other))
    return int(worst > 1e-6)


def _losses(tree: Path, words: list[str], folder: Path) -> list[dict[str, str]]:
    """Train a run with the code of `tree`, and return the rows of its metrics.csv."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    command = [sys.executable, str(tree / "train.py"), *words, f"hydra.run.dir={folder}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{tree}: {done.stdout}{done.stderr}")
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def _compare(
    before: list[dict[str, str]], after: list[dict[str, str]], *, name: str
) -> tuple[int, float]:
    """Return the number of compared columns, and the largest relative difference."""
    if len(before) != len(after):
        raise SystemExit(f"{name}: {len(before)} rows before, {len(after)} after.")
    columns = [column for column in before[0] if not column.startswith(UNCOMPARED)]
    if missing := [column for column in columns if column not in after[0]]:
        raise SystemExit(f"{name}: not logged any more: {', '.join(missing)}")
    largest = 0.0
    for old, new in zip(before, after, strict=True):
        for column in columns:
            if old[column] != new[column]:
                a, b = float(old[column] or "nan"), float(new[column] or "nan")
                largest = max(largest, abs(a - b) / max(abs(a), abs(b), 1e-12))
                if a != a or b != b:
                    largest = float("inf")
    return len(columns), largest


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
