"""Exceptions for mistakes of the user, as opposed to bugs.

For every mistake that a user can make or repair (a path, a value, a combination, a full disk),
limner raises a `UserError`. Its text states the rule, the value found, and the config key to
change. The command line prints the text without a traceback.
"""

__all__ = ["Diverged", "Interrupted", "UsageError", "UserError", "is_out_of_memory"]

from limner.files.printable import printable


class UserError(Exception):
    """A mistake that the user can repair with the help of the message alone.

    Args:
        message: Text of the error. Control characters, which may come from a file name or a value,
            are escaped; line feeds stay.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, keep_newlines=True))


class UsageError(UserError):
    """A mistake in the words of the command line; the exit code is 2."""


class Diverged(UserError):
    """Divergence of training, raised in every process at once so that all can roll back.

    Args:
        what: Observed sign of the divergence, such as "train/loss is nan".
        update: Update after which the divergence was observed.
        advice: Advice to the user, at the end of the message.
    """

    def __init__(self, what: str, *, update: int, advice: str) -> None:
        super().__init__(f"{what} at update {update}. {advice}")
        self.what, self.update = what, update


class Interrupted(Exception):
    """A stop of training from outside, normally after the current batch; the text describes it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, or its cause, means that a device ran out of memory."""
    said = str(error).lower()
    found = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in said for words in ("out of memory", "can't allocate", "not enough memory")
        )
    )
    cause = error.__cause__
    return found or (cause is not None and is_out_of_memory(cause))
