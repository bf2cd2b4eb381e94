"""The checks in order of worth: first what is cheap and decides most."""

__all__ = ["CHECKS", "MACHINE"]

import pkgutil
from collections.abc import Callable, Iterator

from gpu_checks.context import Check, Context, Finding


def _function(name: str) -> Callable[[Context], Iterator[Finding]]:
    """Return a function of this package that is imported when it is called."""
    return lambda context: pkgutil.resolve_name(f"gpu_checks.{name}")(context)


MACHINE = Check("machine", "device and packages", _function("machine:machine"), 60, 60)
"""The check that finds the device; it always runs."""
CHECKS = [
    Check(
        "tests", "the tests marked gpu pass",
        _function("marked_tests:marked_tests"), 60, None,
    ),
    Check(
        "waiting", "no update waits for the device",
        _function("waiting:waiting"), 60, None,
    ),
    Check(
        "families", "every model family trains, with the losses of the CPU",
        _function("families:eager"), 100, 90,
    ),
    Check(
        "resume", "a deterministic run resumes exactly; its cost",
        _function("resuming:resuming"), 50, 50,
    ),
    Check(
        "speed", "time of an update, against a loop and a CUDA graph",
        _function("speed:speed"), 90, 60,
    ),
    Check(
        "occupancy", "idle time of the GPU, images per second, peak memory",
        _function("speed:occupancy"), 60, 40,
    ),
    Check(
        "scoring", "seconds for scoring many samples",
        _function("scoring:scoring"), 60, 40,
    ),
    Check(
        "compiled", "every family trains with compile=default, with the same losses",
        _function("families:compiled"), 150, 80, least=30,
    ),
    Check(
        "time_to_score", "score of the best GAN after some seconds of training",
        _function("scoring:time_to_score"), 330, 50, least=110,
    ),
]  # fmt: skip
