"""Warnings for failures that must not stop training, such as a full disk or a lost network."""

__all__ = ["WarnOnce"]

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class WarnOnce:
    """Context manager that turns all failures of one task into one warning; training continues.

    Args:
        name: Name of the task in the warning, such as "The logger wandb".
        kinds: Classes of exceptions that count as failures. Other exceptions are bugs, and are
            raised.
    """

    failure: str | None = None
    """Reason of the failure at the last attempt; None if the last attempt succeeded."""

    def __init__(self, name: str, *kinds: type[Exception]) -> None:
        self.name, self.kinds = name, kinds
        self._said = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Turn the exceptions of a block into one warning."""
        try:
            yield
        except self.kinds as error:
            said = " ".join(str(error).split()) or "no reason"
            self.failure = f"{type(error).__name__}: {said}"
            if not self._said:
                self._said = True
                log.warning(
                    "%s failed (%s). Training continues; further attempts follow without a new "
                    "warning.",
                    self.name, self.failure,
                )  # fmt: skip
        else:
            self.failure = None
