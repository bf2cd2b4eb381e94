"""What a check receives, and what it returns."""

__all__ = ["Check", "Context", "Finding", "Scale"]

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One result of a check, a row of its table."""

    what: str
    """Case that was measured, such as "gan, bf16-mixed"."""
    found: str
    """Result in words and numbers with units."""
    passed: bool | None = True
    """Whether the result is as required; None if the case was not measured."""
    values: Mapping[str, float | str] = field(default_factory=dict)
    """Numbers behind `found`, by name, for programs that read the JSON file."""


@dataclass(frozen=True)
class Scale:
    """Sizes of the trainings of a check."""

    image_shape: tuple[int, int, int]
    """Shape (C, H, W) of the images."""
    batch_size: int
    num_updates: int
    """Number of updates that each model family trains."""
    width: int | None
    """Largest width of a layer; None for the widths of conf/network."""
    num_images: int
    """Number of training images."""
    turn_seconds: float
    """Seconds of a measured turn of training."""
    num_samples: int
    """Number of samples that are scored."""
    marks: tuple[float, ...]
    """Seconds of training after which the samples of the best GAN are scored."""


SCALES = {
    "cuda": Scale((3, 32, 32), 64, 50, None, 2000, 0.4, 50_000, (60, 120, 240)),
    "cpu": Scale((1, 16, 16), 16, 50, 16, 500, 0.3, 2000, (2, 4, 8)),
    "smallest": Scale((1, 8, 8), 4, 2, 8, 60, 0.01, 50, (0.05, 0.1)),
}


@dataclass(frozen=True)
class Context:
    """Surroundings of a check."""

    device: str
    """"cpu" or "cuda"."""
    smallest: bool
    """Whether the check does the least that runs all its code."""
    folder: Path
    """Empty folder for the files of the check, which are not kept."""
    deadline: float
    """Value of `time.monotonic()` at which the process of the check is killed."""
    images: Path | None = None
    """Folder or .zip file with class folders; None for synthetic images."""
    method: str = "fork"
    """How processes start: "fork" saves the imports, "spawn" imports again."""

    @property
    def scale(self) -> Scale:
        """Sizes that suit the device."""
        return SCALES["smallest" if self.smallest else self.device]

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Check:
    """A named check with its time limit."""

    name: str
    about: str
    """What the check shows, in a few words."""
    run: Callable[[Context], Iterator[Finding]]
    """Function that yields each finding as soon as it is known."""
    seconds: float
    """Time limit on a GPU."""
    cpu_seconds: float | None
    """Time limit on a CPU; None for a check that has no meaning without a GPU."""
    least: float = 5.0
    """Seconds without which the check does not start on a GPU."""

    def limit(self, device: str) -> float | None:
        """Return the time limit in seconds on a device; None if the check needs a GPU."""
        return self.seconds if device == "cuda" else self.cpu_seconds
