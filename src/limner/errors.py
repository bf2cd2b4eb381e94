"""The exceptions that are messages to the user rather than bugs.

Everything that a person can get wrong (a path, a value, a combination, a full disk) is raised as
a `UserError`: its text states the rule, the value got, and the config key to change. The command
line prints it without a traceback.
"""

__all__ = ["Diverged", "Interrupted", "UsageError", "UserError", "is_out_of_memory"]

from limner.files.printable import printable


class UserError(Exception):
    """A mistake that the message alone lets the user repair.

    Args:
        message: The text. Control characters in it, which a file name or a value may have brought
            along, are escaped; line feeds stay.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, keep_newlines=True))


class UsageError(UserError):
    """A word of the command line that cannot be read or composed; the exit code is 2."""


class Diverged(UserError):
    """Training ran away. It is raised in every process at once, so that all can go back together.

    Args:
        what: What it was seen by, e.g. "train/loss is nan".
        update: After which update.
        advice: What to try; the end of the message.
    """

    def __init__(self, what: str, *, update: int, advice: str) -> None:
        super().__init__(f"{what} at update {update}. {advice}")
        self.what, self.update = what, update


class Interrupted(Exception):
    """Training was stopped from outside, after the running batch. The text says how."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that it was raised from, is a lack of memory of any device."""
    said = str(error).lower()
    found = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in said for words in ("out of memory", "can't allocate", "not enough memory")
        )
    )
    cause = error.__cause__
    return found or (cause is not None and is_out_of_memory(cause))
