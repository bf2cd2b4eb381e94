"""The exceptions that are messages to the user rather than bugs.

Everything that a person can get wrong (a path, a value, a combination, a full disk) is raised as
a `UserError`: its text states the rule, the value got, and the config key to change. The command
line prints it without a traceback.
"""

__all__ = ["Interrupted", "UserError"]


class UserError(Exception):
    """A mistake that the message alone lets the user repair."""

    began = False
    """Whether training had begun, so that the run folder is worth keeping."""


class Interrupted(Exception):
    """Training was stopped from outside, after the running batch. The text says how."""
