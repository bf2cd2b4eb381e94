"""Loggers that cannot stop a run."""

__all__ = ["ToleratedLogger"]

from functools import wraps
from typing import Any

from limner.warn_once import WarnOnce


class ToleratedLogger:
    """Stands before a logger and lets none of its exceptions through.

    Lightning calls loggers as our callbacks do, so what it is given must itself be safe. In all
    else this is the logger: its attributes, and its class for those who ask by `isinstance`.

    Args:
        logger: A Lightning logger, or anything that behaves as one.
        name: Its name in the config.
    """

    def __init__(self, logger: Any, name: str) -> None:
        self._logger, self.writing = logger, WarnOnce(f"The logger {name}", Exception)

    @property
    def __class__(self) -> type:
        return type(self._logger)

    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._logger, name)  # may be a property that opens a connection
        except AttributeError:
            raise
        except Exception:
            with self.writing():
                raise
            return None
        return self._safe(value) if callable(value) else value

    def _safe(self, method: Any) -> Any:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.writing():
                return method(*args, **kwargs)

        return call
