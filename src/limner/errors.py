"""The exceptions that are messages to the user rather than bugs.

Everything that a person can get wrong (a path, a value, a combination, a full disk) is raised as
a `UserError`: its text states the rule, the value got, and the config key to change. The command
line prints it without a traceback.
"""

__all__ = ["Diverged", "Interrupted", "UserError"]

from limner.printable import printable


class UserError(Exception):
    """A mistake that the message alone lets the user repair.

    Args:
        message: The text. Control characters in it, which a file name or a value may have brought
            along, are escaped; line feeds stay.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, keep_newlines=True))

    began = False
    """Whether training had begun, so that the run folder is worth keeping."""


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
