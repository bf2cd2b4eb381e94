"""A clock of the progress bars that tests set."""

__all__ = ["set_clock"]

from types import SimpleNamespace

import pytest

from limner import console
from limner.files import progress_displays


def set_clock(patch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let the progress bars read the time from `seconds` of the returned object, 0 at first."""
    now = SimpleNamespace(seconds=0.0)
    fake = SimpleNamespace(monotonic=lambda: now.seconds)
    patch.setattr(console, "time", fake)
    patch.setattr(progress_displays, "time", fake)
    patch.delenv("JPY_PARENT_PID", raising=False)
    return now
