"""Measure the time of augmenting a batch, against torchvision's transforms v2, on one thread.

    python scripts/augmentation_time.py

The transforms of torchvision are the parts of data/augmentation=standard and strong that it has,
with the same strengths. For a batch, torchvision draws one set of numbers; `for each image`
calls it once for each image, so that each image has its own draw. The time is the fastest of
several, in milliseconds of the process.
"""

import argparse
import time
from collections.abc import Callable

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torchvision.transforms import InterpolationMode, v2

from limner.config.schema import CONFIG_DIR

SHAPES = [(64, 3, 32, 32), (16, 3, 128, 128)]
BILINEAR = InterpolationMode.BILINEAR


def theirs(option: str, size: int) -> v2.Transform:
    """Return torchvision's transforms with the strengths of an option."""
    if option == "standard":
        return v2.Compose([
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(8, (1 / 16, 1 / 16), (1 / 1.1, 1.1), interpolation=BILINEAR),
            v2.ColorJitter(0.05, 0.1, 0.1),
        ])  # fmt: skip
    kernel = 2 * round(4 * 0.02 * size) + 1
    return v2.Compose([
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(20, (1 / 8, 1 / 8), (0.8, 1.25), (-15, 15, -15, 15), BILINEAR),
        v2.RandomApply([v2.RandomResizedCrop(size, (0.5, 1), (0.8, 1.2), antialias=False)], 0.5),
        v2.RandomPerspective(0.25, 0.5, BILINEAR),
        v2.ColorJitter(0.2, 0.4, 0.5, 20 / 360),
        v2.RandomApply([v2.GaussianBlur(kernel, (0.01, 0.02 * size))], 0.25),
        v2.RandomErasing(0.5, (0.16, 0.16), (1, 1), 127),
    ])  # fmt: skip


def milliseconds(call: Callable[[], object], *, rounds: int) -> float:
    """Return the shortest time of a call."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * min(times[1:])


def row(option: str, shape: tuple[int, int, int, int], rounds: int) -> str:
    """Return the row of the table for an option and the shape (B, C, H, W) of a batch."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    config = OmegaConf.load(CONFIG_DIR / "data" / "augmentation" / f"{option}.yaml")
    ours, other = instantiate(config, _convert_="all"), theirs(option, shape[3])
    calls = [
        lambda: ours(images, uniform=torch.rand(len(images), ours.num_draws)),
        lambda: other(images),
        lambda: torch.stack([other(image) for image in images]),
    ]
    found = " | ".join(f"{milliseconds(call, rounds=rounds):.1f}" for call in calls)
    return f"| {option} | {' x '.join(map(str, shape))} | {found} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="calls of each program")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| option | batch | limner ms | torchvision, one draw ms | for each image ms |")
    print("|---|---|---|---|---|")
    for shape in SHAPES:
        for option in ("standard", "strong"):
            print(row(option, shape, rounds))


if __name__ == "__main__":
    main()
