"""The checks in order of worth: first what is cheap and decides most."""

__all__ = ["CHECKS", "MACHINE"]

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass

from gpu_checks.context import Check, Context, Finding


@dataclass(frozen=True)
class _Function:
    """A function of this package that is imported when it is called."""

    name: str

    def __call__(self, context: Context) -> Iterator[Finding]:
        return pkgutil.resolve_name(f"gpu_checks.{self.name}")(context)


MACHINE = Check("machine", "device and packages", _Function("machine:machine"), 60, 60)
"""The check that finds the device; it always runs."""
CHECKS = [
    Check(
        "tests", "the tests marked gpu pass",
        _Function("marked_tests:marked_tests"), 60, None,
    ),
    Check(
        "waiting", "no update waits for the device",
        _Function("waiting:waiting"), 60, None,
    ),
    Check(
        "families", "every model family trains, with the losses of the CPU",
        _Function("families:eager"), 100, 90,
    ),
    Check(
        "resume", "a deterministic run resumes exactly; its cost",
        _Function("resuming:resuming"), 50, 50,
    ),
    Check(
        "speed", "time of an update, against a bare loop and a CUDA graph",
        _Function("speed:speed"), 90, 60,
    ),
    Check(
        "occupancy", "idle time of the GPU, images per second, peak memory",
        _Function("speed:occupancy"), 60, 40,
    ),
    Check(
        "scoring", "seconds for scoring many samples",
        _Function("scoring:scoring"), 60, 40,
    ),
    Check(
        "compiled", "every family trains with compile=default, with the same losses",
        _Function("families:compiled"), 150, 80, least=30,
    ),
    Check(
        "time_to_score", "score of the best GAN after some seconds of training",
        _Function("scoring:time_to_score"), 330, 80, least=110,
    ),
]  # fmt: skip
