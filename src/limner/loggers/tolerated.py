"""Wrapper for loggers whose failures must not stop a run."""

__all__ = ["ToleratedLogger"]

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from limner.warn_once import WarnOnce


class ToleratedLogger(Logger):
    """Logger that turns all exceptions of another logger into one warning.

    Lightning calls its loggers itself, and reads `logger.experiment` before training. It therefore
    receives this wrapper (test_full_disk_and_lost_network_stop_nothing). Other attributes of the
    wrapped logger, such as `log_image` or `experiment`, are available too.

    Args:
        logger: Lightning logger, or an object with the same methods, to wrap.
        name: Name of the logger in the config.
    """

    def __init__(self, logger: Any, name: str) -> None:
        super().__init__()
        self.logger, self.writing = logger, WarnOnce(f"The logger {name}", Exception)

    @property
    def name(self) -> str | None:
        return self._get("name")

    @property
    def version(self) -> int | str | None:
        return self._get("version")

    @property
    def root_dir(self) -> str | None:
        return self._get("root_dir")

    @property
    def log_dir(self) -> str | None:
        return self._get("log_dir")

    @property
    def save_dir(self) -> str | None:
        return self._get("save_dir")

    @property
    def group_separator(self) -> str:
        return self._get("group_separator")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._get("log_metrics")(metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._get("log_hyperparams")(params, *args, **kwargs)

    def log_graph(self, *args: Any, **kwargs: Any) -> None:
        self._get("log_graph")(*args, **kwargs)

    def save(self) -> None:
        self._get("save")()

    def finalize(self, status: str) -> None:
        self._get("finalize")(status)

    def after_save_checkpoint(self, *args: Any) -> None:
        self._get("after_save_checkpoint")(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "logger":  # not set yet when copy reads attributes; _get would recurse
            raise AttributeError(name)
        return self._get(name)

    def _get(self, name: str) -> Any:
        """Return an attribute of the wrapped logger; None if reading it fails."""
        try:
            value = getattr(self.logger, name)  # may be a property that opens a connection
        except AttributeError:
            raise
        except Exception:
            with self.writing():
                raise
            return None
        return self._safe(value) if callable(value) else value

    def _safe(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.writing():
                return method(*args, **kwargs)

        return call
