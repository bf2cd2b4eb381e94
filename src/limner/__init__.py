"""limner: any generative image model x data set x optimizer x accelerator, trained and scored.

trained = limner.train("model=gan", "data=digits")    a run, as by python train.py
limner.evaluate(trained)                              its scores, with their protocols
limner.load("outputs/gan_digits/...").sample(16)      pictures of a trained model
limner.compose("model=gan")                           the config
model, data = limner.build("model=gan")               for a Trainer of your own
data = limner.open_data("mnist", batch_size=64)
"""

__all__ = [
    "Diverged",
    "Interrupted",
    "Parts",
    "Styles",
    "TrainedModel",
    "TrainedRun",
    "UserError",
    "__version__",
    "build",
    "compose",
    "evaluate",
    "load",
    "open_data",
    "train",
]

import importlib
from typing import TYPE_CHECKING, Any

from limner.version import __version__

if TYPE_CHECKING:
    from limner.commands.python import (
        Parts,
        TrainedRun,
        build,
        compose,
        evaluate,
        open_data,
        train,
    )
    from limner.errors import Diverged, Interrupted, UserError
    from limner.pretrained.load import load
    from limner.pretrained.styles import Styles
    from limner.pretrained.trained_model import TrainedModel

_MODULES = {
    "limner.commands.python": (
        "Parts", "TrainedRun", "build", "compose", "evaluate", "open_data", "train",
    ),
    "limner.errors": ("Diverged", "Interrupted", "UserError"),
    "limner.pretrained.load": ("load",),
    "limner.pretrained.styles": ("Styles",),
    "limner.pretrained.trained_model": ("TrainedModel",),
}  # fmt: skip
"""Mapping of each name to its module, which is imported (with torch) at the first use of it."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
