"""One warning for what fails beside training, such as a disk or a network; training continues."""

__all__ = ["WarnOnce"]

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class WarnOnce:
    """Context that turns all failures of one thing into one warning; training continues.

    Args:
        name: What the warning calls it, e.g. "The logger wandb".
        kinds: The exceptions that are failures; any other is a bug, and passes.
    """

    failure: str | None = None
    """Why it failed when it was tried last; None if it did not."""

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
                    "%s failed (%s). Training goes on; this is tried on, and not said again.",
                    self.name, self.failure,
                )  # fmt: skip
        else:
            self.failure = None
