"""Suggestions for a word that is not an override, or whose key does not exist."""

__all__ = ["clarified", "refuse_mistyped"]

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.config.command_options import at_home
from limner.config.schema import CONFIG_DIR, RunConfig
from limner.errors import UsageError
from limner.files.printable import printable
from limner.resume.overrides import (
    FLAGS,
    config_dirs,
    is_completion,
    is_sweep,
    key_of,
    split_flags,
)
from limner.resume.quoting import composed, shown_quoted

MODES = ("--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i")
"""Flags of which Hydra takes only one at a time."""
OTHER_NAMES = {
    "learning_rate": ("optimizer.lr",),
    "epoch": ("trainer.max_epochs",),
    "num_epochs": ("trainer.max_epochs",),
    "steps": ("trainer.max_steps",),
    "iterations": ("trainer.max_steps",),
    "device": ("trainer.accelerator",),
    "gpus": ("trainer.devices",),
    "num_gpus": ("trainer.devices",),
    "image_size": ("data.image_shape",),
    "img_size": ("data.image_shape",),
    "resolution": ("data.image_shape",),
    "z_dim": ("model.latent_dim",),
}
"""Names that other programs give to keys of limner."""
MOST = 4
"""Largest number of suggestions in a message."""


def refuse_mistyped(words: Sequence[str]) -> None:
    """Raise UsageError for the first word that is neither a flag nor an override.

    Args:
        words: Words of `limner train`.
    """
    if is_completion(words):
        return
    groups = _groups(config_dirs(words))
    flags, overrides = split_flags(words)
    for flag in flags:
        if flag.startswith("-") and flag not in FLAGS:
            raise UsageError(_unknown_flag(flag, words, groups))
    if len(modes := [flag for flag in flags if flag in MODES]) > 1:
        raise UsageError(f"{' and '.join(modes)} do not go together; leave out all but one.")
    if "--resolve" in flags and not {"--cfg", "-c"} & set(flags):
        raise UsageError("--resolve is for --cfg: add --cfg job.")
    for word in overrides:
        before, after = _around(word, words)
        key, equals, value = word.partition("=")
        if not equals and (after[:1] == "=" or before.endswith("=")):
            parts = list(words)[list(words).index(word) :][: 3 if after == "=" else 2]
            parts = parts if after[:1] == "=" else [before, word]
            spaced = printable("".join(parts))
            raise UsageError(f"{spaced}: write it without spaces around the =")
        if not equals and not word.startswith("~"):
            raise UsageError(
                f"{printable(word)}: not of the form key=value{_meant(word, after, groups)}"
            )
        if equals and (not key.lstrip("+~") or not _is_key(key)):
            raise UsageError(f"{printable(word)}: not of the form key=value.")
        if equals and key_of(word) in groups:
            _refuse_path(key_of(word), value, groups[key_of(word)])
            _refuse_number(word, groups[key_of(word)])
            if "," in value and "[" not in value and "(" not in value and not is_sweep(words):
                raise UsageError(
                    f"{printable(word)}: a single run takes one option.\n"
                    "  one run for each option: add -m\n"
                    f"  all options in one run: '{key}=[{value}]'"
                )


def clarified(error: ConfigCompositionException, words: Sequence[str]) -> Exception:
    """Return an error that names the key that was probably meant, or else the same error."""
    overrides, cause = split_flags(words)[1], error.__cause__
    if isinstance(error, MissingConfigException):
        advice = _misplaced(error.missing_cfg_file or "", config_dirs(words)[1::2])
        return error if advice is None else UsageError(advice)
    if present := re.search(
        r"Could not append to config\. An item is already at '(.+?)'", str(error)
    ):
        key = present[1]
        value = next((w.partition("=")[2] for w in overrides if key_of(w) == key), "...")
        return UsageError(
            f"+{key}={printable(value)}: a plus adds a key, but this key exists already.\n"
            f"Without the plus: {key}={printable(value)}"
        )
    if chosen := re.search(r"Multiple values for ([\w/]+)\.", str(error)):
        wrong = next((w for w in overrides if key_of(w) == chosen[1] and w[0] == "+"), None)
        if wrong is not None:
            return UsageError(
                f"{printable(wrong)}: a plus adds a group, but this group is chosen already.\n"
                f"Without the plus: {printable(wrong.lstrip('+'))}"
            )
    key = getattr(cause, "full_key", None)
    wrong = next((word for word in overrides if key_of(word) == key), None)
    if wrong is None or wrong.startswith("~"):
        return error
    try:
        config = composed(words, [word for word in overrides if _may_stand(word, wrong)])
    except (HydraException, OmegaConfBaseException):
        return error
    if not (found := _ending_so(config, key)):
        return error
    value = printable(wrong.partition("=")[2])
    if len(found) == 1:
        meant = f"did you mean {found[0]}={value}?"
    else:
        meant = "\n  ".join(["did you mean", *(f"{name}={value}" for name in found[:MOST])])
    return UsageError(f"{printable(key)}: there is no such key; {meant}")


def _misplaced(name: str, dirs: Sequence[str]) -> str | None:
    """Return advice for an option whose file has another name or is in another place.

    Args:
        name: Group and option, such as "experiment/mine".
        dirs: Folders of --config-dir.
    """
    for folder in map(Path, dirs):
        if (other := folder / f"{name}.yml").is_file():
            return f"{printable(other)}: Hydra reads only .yaml files; rename it."
        group, _, option = name.rpartition("/")
        for other in sorted(folder.rglob(f"{option}.yaml")):
            if other.parent.name == group.rpartition("/")[2] and other.parent != folder / group:
                meant = other.parents[len(Path(group).parts)]
                return (
                    f"{printable(folder)} has no {printable(name)}.yaml, but "
                    f"{printable(other)} is there: --config-dir {printable(meant)}"
                )
    return None


def _may_stand(word: str, wrong: str) -> bool:
    """Return whether a word can stay when a config is composed without the wrong word."""
    return word != wrong and key_of(word).partition(".")[0].partition("/")[0] in {
        *RunConfig.__dataclass_fields__, "experiment", "accelerator",
    }  # fmt: skip


def _ending_so(config: DictConfig, key: str) -> list[str]:
    """Return the keys of a config whose last part equals the last part of `key`.

    If there are none, return the keys whose last part contains the last part of `key`.
    """
    name = key.rpartition(".")[2]
    siblings = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
    if isinstance(siblings, DictConfig) and difflib.get_close_matches(
        name, list(map(str, siblings)), n=1, cutoff=0.8
    ):
        return []  # a typing error, which has its own message
    ours = OmegaConf.masked_copy(config, [part for part in config if part != "hydra"])
    keys = list(dict.fromkeys(_leaves(OmegaConf.to_container(ours, resolve=False))))
    exact = [full for full in keys if full.rpartition(".")[2] == name]
    part = [full for full in keys if f"_{name}_" in f"_{full.rpartition('.')[2]}_"]
    other = [key for key in OTHER_NAMES.get(name.lower(), ()) if key in keys]
    found = other or exact or part
    if found or "." in key:
        return found
    lasts = {full.rpartition(".")[2]: full for full in reversed(keys)}
    close = difflib.get_close_matches(name, [*lasts, *OTHER_NAMES], n=1, cutoff=0.75)
    return [
        key for last in close for key in OTHER_NAMES.get(last) or (lasts[last],) if key in keys
    ]


def _leaves(node: Any, at: str = "") -> Iterator[str]:
    """Yield the keys that hold a value; leave out keys that read another key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{at}.{name}" if at else str(name))
    elif at and not (isinstance(node, str) and node.startswith("${")):
        yield at


def _groups(dirs: Sequence[str]) -> dict[str, list[str]]:
    """Return the options of each group, from conf/ and from the folders that flags name."""
    found: dict[str, list[str]] = {}
    for folder in [CONFIG_DIR, *map(Path, dirs[1::2])]:
        for path in sorted(folder.rglob("*.yaml")):
            group = path.parent.relative_to(folder).as_posix()
            if group != "." and not group.startswith("search") and path.parent.name != "base":
                found.setdefault(group, []).append(path.stem)
    return found


def _around(word: str, words: Sequence[str]) -> tuple[str, str]:
    """Return the words before and after a word; an empty string if there is none."""
    at = list(words).index(word) if word in words else 0
    return (words[at - 1] if at else ""), (words[at + 1] if at + 1 < len(words) else "")


def _is_key(key: str) -> bool:
    try:
        OverridesParser.create().parse_override(f"{key}=x")
    except HydraException:
        return False
    return True


def _unknown_flag(flag: str, words: Sequence[str], groups: Mapping[str, Any]) -> str:
    names = [*groups, *RunConfig.__dataclass_fields__]
    key, message = flag.lstrip("-"), f"{printable(flag)}: there is no such flag"
    joined = next((word.partition("=")[2] for word in words if word.startswith(f"{flag}=")), None)
    after = _around(flag, words)[1]
    value = joined or (after if after and "=" not in after and after[0] != "-" else "...")
    close = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.75)
    names = difflib.get_close_matches(key.replace("-", "_"), names, n=1, cutoff=0.7)
    names = [key] if "." in key else names
    if names and not close:
        return f"{message}; keys have no dashes: {names[0]}={printable(value)}"
    if joined:
        return f"{message}; keys have no dashes: {printable(f'{key}={value}')}"
    return f"{message}; did you mean {close[0]}?" if close else f"{message}; see --help"


def _meant(word: str, after: str, groups: Mapping[str, Sequence[str]]) -> str:
    """Return the override that was probably meant by a word without `=`."""
    keys = [*groups, *RunConfig.__dataclass_fields__]
    path = Path(at_home(word))
    if word in keys:
        has_value = after and "=" not in after and after[0] != "-"
        return f"; did you mean {word}={printable(after) if has_value else '...'}?"
    if (split := re.match(r"([A-Za-z][\w./]*)(?::|\s+)(\S.*)", word)) and split[1] in keys:
        return f"; did you mean {split[1]}={printable(split[2])}?"
    if path.is_dir() and (path / ".hydra").is_dir():
        return f"; did you mean {_plain('resume', word)}?"
    if "/" in word and path.exists():
        return f"; did you mean data=image_folder {_plain('data.path', word)}?"
    for group in dict.fromkeys([*("model", "data", "experiment"), *groups]):
        if word in groups.get(group, ()):
            return f"; did you mean {group}={word}?"
    return "."


def _refuse_path(group: str, value: str, options: Sequence[str]) -> None:
    """Raise UsageError if the value of a group is a path, not the name of an option."""
    if "${" in value or value[:1] in ("[", "'", '"') or "," in value or value in options:
        return
    is_path = value.startswith(("/", "~", "./", "../")) or value.endswith(
        ("/", ".zip", ".yaml", ".yml")
    )
    if group == "data" and (is_path or Path(at_home(value)).exists()):
        raise UsageError(
            f"data={printable(value)}: there is no such option. For pictures of your own:\n"
            f"data=image_folder {_plain('data.path', value)}"
        )
    if is_path:
        name = Path(value).stem
        raise UsageError(
            f"{group}={printable(value)}: an option is chosen by its name.\n"
            f"For DIR/{group}/{printable(name)}.yaml, a file of your own: "
            f"--config-dir DIR {group}={printable(name)}"
        )


def _refuse_number(word: str, options: Sequence[str]) -> None:
    """Raise `UsageError` if a group is set to a value that cannot be the name of an option."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        raise UsageError(f"{printable(word)}: not of the form GROUP=OPTION.") from None
    if not override.is_delete() and isinstance(override.value(), int | float | dict | None):
        raise UsageError(
            f"{printable(word)}: there is no such option\n"
            f"Options of {key_of(word)}: {', '.join(options)}"
        )


def _plain(key: str, value: str) -> str:
    """Return a word as it is typed in a shell; plain paths need no quotes for Hydra."""
    plain = re.fullmatch(r"[\w./~-]+", value)
    return printable(f"{key}={value}" if plain else shown_quoted(key, value))
