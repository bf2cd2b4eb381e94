"""Translation of exceptions of Hydra, the file system and the machine into short messages."""

__all__ = ["explain", "must_be_given", "shortened"]

import errno
import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from limner.config.config_files import ConfigFileError, choice_place, place
from limner.config.schema import CONFIG_DIR, RunConfig
from limner.config.similar import similar
from limner.errors import UserError
from limner.files.printable import printable
from limner.runs.shortages import shortage

USAGE, FAILURE = 2, 1
NETWORK_MOVED = "model/network: the group of networks is now `network`: network=mlp, for example"


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return a message and an exit code; None for a bug of limner."""
    if isinstance(error, UserError):
        return str(error), USAGE if isinstance(error, ConfigFileError) else FAILURE
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not of the form key=value.", USAGE
    if isinstance(error, MissingConfigException):
        return _missing_option(error), USAGE
    if isinstance(error, ConfigCompositionException):
        return _composition(error), USAGE
    if isinstance(error, HydraException | OmegaConfBaseException):
        return shortened(error), FAILURE
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


def must_be_given(key: str) -> str:
    """Return the message about a missing value, with the comment of the key in conf/.

    The comment is left out if several options of a group describe the key differently.
    """
    group, _, name = key.partition(".")
    behind = re.compile(rf"^{re.escape(name)}: \?\?\? +# (.+)$", re.MULTILINE)
    files = (CONFIG_DIR / group).rglob("*.yaml")
    found = {text for file in files for text in behind.findall(file.read_text(encoding="utf-8"))}
    meaning = f"\n({found.pop()})" if len(found) == 1 else ""
    return f"{key} must be given: {key}=...{meaning}"


def shortened(error: Exception, *, lines: int = 2) -> str:
    """Return the first lines of an error of Hydra or OmegaConf, the key of a `${...}` first.

    Args:
        error: The error.
        lines: Number of lines.
    """
    text = "\n".join(str(error).splitlines()[:lines])
    key, resolving = getattr(error, "full_key", None), "raised while resolving interpolation: "
    if resolving not in text:
        return text
    reason = text.partition(resolving)[2].strip('"')
    return f"{key}: {reason}" if key else reason


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not error.options:
        if missing := re.search(r"Could not load '([^']+)'", str(error)):
            return _no_file(missing[1], str(error))
        return str(error).splitlines()[0]
    options = [name for name in error.options if name != "base"]
    hint = similar(option, options)
    listed = "" if "there are" in hint else f"\nOptions of {group}: {', '.join(options)}"
    where = choice_place(group, option)  # Hydra names only the first file that lists the group
    return f"{_prefix(where)}{group}={option}: there is no such option{hint}{listed}"


def _composition(error: ConfigCompositionException) -> str:
    cause, text = error.__cause__, str(error)
    if isinstance(cause, ConfigKeyError | AttributeError) and hasattr(cause, "full_key"):
        return _place(text, str(cause.key)) + _unknown_key(cause)
    if isinstance(cause, ValidationError):
        message = f"{cause.full_key}: {cause.msg or cause}".splitlines()[0]
        override = re.search(r"Error merging override \+*([\w.]+)=(.+)", text)
        if override and message.endswith("is not a ListConfig, list or tuple."):
            key, value = override.groups()
            message = f"{key}={value}: a list is written in brackets: '{key}=[{value}]'"
        return _place(text, str(cause.key)) + message
    if several := re.search(r"Sweep parameters '(.+)' requires --multirun", text):
        return f"{several[1]}: several values mean several runs: add -m"
    if re.search(r"Could not override 'model/network\b", text):
        return f"{_place(text, 'network')}{NETWORK_MOVED}; in a file: override /network: mlp"
    if group := re.search(r"Could not override '([\w/]+)(?:@[\w.]+)?'", text):
        return _not_chosen(group[1], text)
    if missing := re.search(r"Could not load '([^']+)'", text):
        return _no_file(missing[1], text)
    first, _, rest = (text or str(cause)).partition("\n")
    if re.fullmatch(r"In '.+': \w+ raised while composing config:", first) and rest:
        key = re.search(r"full_key: ([\w.]+)", rest) or re.search(r"[Kk]ey '(\w+)'", rest)
        return _place(text, key[1].rpartition(".")[2] if key else "") + rest.splitlines()[0]
    in_file = re.match(r"In '?([\w/.-]+?)'?: (.*)", first)
    return f"{_place(text, '')}{in_file[2]}" if in_file else first


def _not_chosen(group: str, text: str) -> str:
    """Return the message about an override of a group that has no choice to override."""
    where, name = _place(text, group.rpartition("/")[2]), group
    if "/" in group and not (CONFIG_DIR / group).is_dir():
        name = group.partition("/")[2]  # Hydra looks for a name without `/` beside the file
        if (CONFIG_DIR / name).is_dir():
            return f"{where}write `- override /{name}: OPTION`, with the slash."
    head, is_group = name.split("/")[0], (CONFIG_DIR / name).is_dir()
    if not is_group:
        base = CONFIG_DIR / name.rpartition("/")[0]
        groups = [path.name for path in base.glob("*/")] if base.is_dir() else []
        return f"{where}there is no group {name}{similar(name.rpartition('/')[2], groups)}"
    return f"{where}{name}=...: the chosen {head} has no such group."


def _no_file(name: str, text: str) -> str:
    group, _, option = name.rpartition("/")
    where = _place(text, option)
    if group and (CONFIG_DIR / group).is_dir():
        options = [path.stem for path in sorted((CONFIG_DIR / group).glob("*.yaml"))]
        where = where if ", line " in where else ""  # no line: it was typed in a list
        return f"{where}{group}={option}: there is no such option{similar(option, options)}"
    return f"{where}there is no config file {name}.yaml."


def _place(text: str, word: str) -> str:
    """Return "FILE, line N: " of a word in the config that Hydra names, or an empty string.

    Args:
        text: Hydra's message.
        word: Word on the line; empty for the file alone.
    """
    named = re.search(r"In '?([\w/.-]+?)'?: ", text)
    return _prefix(place(named[1], word) if named else None)


def _prefix(where: str | None) -> str:
    return "" if where is None else f"{where}: "


def _unknown_key(cause: OmegaConfBaseException) -> str:
    """Return the message about a misspelt key, with the sibling that was probably meant."""
    if cause.full_key == "model/network":
        return NETWORK_MOVED
    parent = cause.parent_node
    siblings = list(parent) if parent is not None else list(RunConfig.__dataclass_fields__)
    name = str(cause.key)
    within = cause.full_key.removesuffix(name)
    message = f"{cause.full_key}: there is no such key{similar(name, siblings, within=within)}"
    if "." in cause.full_key and "mean" not in message:
        message += (
            f"\nA further argument of the class there is added by a plus: +{cause.full_key}=..."
        )
    return message
