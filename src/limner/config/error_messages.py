"""Translate exceptions of Hydra, the file system and the machine into a few lines for a person."""

__all__ = ["explain"]

import errno
import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from limner.config.build import similar
from limner.config.schema import RunConfig
from limner.errors import UserError
from limner.files.printable import printable
from limner.runs.shortages import shortage

USAGE, FAILURE = 2, 1
NETWORK_MOVED = "model/network: networks are a group of their own now: network=mlp, for example"


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return a message and an exit code; None for an error that is ours, not the user's."""
    if isinstance(error, UserError):
        return str(error), FAILURE
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not of the form key=value.", USAGE
    if isinstance(error, MissingConfigException):
        return _missing_option(error), USAGE
    if isinstance(error, ConfigCompositionException):
        return _composition(error), USAGE
    if isinstance(error, HydraException | OmegaConfBaseException):
        return "\n".join(str(error).splitlines()[:2]), FAILURE
    if (lacking := shortage(error)) is not None:
        return printable(lacking), FAILURE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left on the disk ({error.filename or 'output'}).", FAILURE
    if isinstance(error, PermissionError) or (
        isinstance(error, OSError) and error.errno in (errno.EROFS, errno.ENOTDIR)
    ):
        where = error.filename or "the output folder"
        return (
            f"{where} cannot be written ({error.strerror}); name another: hydra.run.dir=DIR",
            FAILURE,
        )
    return None


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return str(error).splitlines()[0]
    options = [name for name in error.options if name != "base"]
    hint = similar(option, options)
    listed = "" if "there are" in hint else f"\nOptions of {group}: {', '.join(options)}"
    return f"{group}={option}: there is no such option{hint}{listed}"


def _composition(error: ConfigCompositionException) -> str:
    cause, text = error.__cause__, str(error)
    if isinstance(cause, ConfigKeyError | AttributeError) and hasattr(cause, "full_key"):
        return _unknown_key(cause)
    if isinstance(cause, ValidationError):
        return f"{cause.full_key}: {cause.msg or cause}".splitlines()[0]
    if key := re.search(r"In '(.+)': ConfigKeyError.*\nKey '(\w+)' not in 'RunConfig'", text):
        keys = list(RunConfig.__dataclass_fields__)
        return f"conf/{key[1]}.yaml: there is no key {key[2]}{similar(key[2], keys)}"
    if old := re.search(r"(?:In '([^']+)': )?Could not override 'model/network\b", text):
        where = f"conf/{old[1]}.yaml: " if old[1] else ""
        return f"{where}{NETWORK_MOVED}; in a file: override /network: mlp"
    if group := re.match(r"Could not override '([\w/@.]+)'\. No match in the defaults list", text):
        return f"{group[1]}=...: the chosen {group[1].split('/')[0]} has no such choice to make."
    return (text or str(cause)).split("\n", 1)[0]


def _unknown_key(cause: OmegaConfBaseException) -> str:
    """Return the message about a misspelt key, with the sibling that was probably meant."""
    if cause.full_key == "model/network":
        return NETWORK_MOVED
    parent = cause.parent_node
    siblings = list(parent) if parent is not None else list(RunConfig.__dataclass_fields__)
    name = str(cause.key)
    message = f"{cause.full_key}: there is no such key{similar(name, siblings)}"
    if "." in cause.full_key and "mean" not in message:
        message += (
            f"\nA further argument of the class there is added by a plus: +{cause.full_key}=..."
        )
    return message
