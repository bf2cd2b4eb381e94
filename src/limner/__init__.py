"""limner: any generative image model x data set x optimizer x accelerator, trained and scored."""

__all__ = ["__version__", "load"]

from typing import TYPE_CHECKING, Any

from limner.version import __version__

if TYPE_CHECKING:
    from limner.pretrained.load import load


def __getattr__(name: str) -> Any:
    if name == "load":  # imports torch, which whoever only asks for the version need not wait for
        from limner.pretrained.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
