"""The commands and their flags, parsed by argparse with `key=value` words as positional arguments.

`limner --help` and `limner COMMAND --help` show the classes in `limner.commands.options`.
"""

__all__ = [
    "COMMANDS",
    "OWN_CODE",
    "VERSION",
    "Command",
    "command_parser",
    "read_words",
    "refuse_keys",
    "refuse_unknown",
    "top_parser",
]

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from limner.commands import options
from limner.config.command_options import form, meaning, parse
from limner.errors import UsageError
from limner.files.printable import printable
from limner.resume.overrides import CONFIG_DIRS, VALUED, split_flags
from limner.version import __version__

VERSION = f"limner {__version__}"


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of `limner`.

    Args:
        module: Module with a function `run(words) -> exit code`, imported when the command runs.
        options: Dataclasses of its keys. The docstring of the first describes the command.
        words: Words that may follow the command, for the usage line.
        examples: Complete command lines.
        note: Last paragraph of its help.
    """

    module: str
    options: tuple[type, ...]
    words: str
    examples: tuple[str, ...]
    note: str = ""

    @property
    def description(self) -> str:
        """First line of the docstring of its options."""
        return (self.options[0].__doc__ or "").splitlines()[0]


OWN_CODE = ("evaluate", "sample", "transform", "export")
"""Commands that build classes of the user's packages, which --config-dir makes importable."""
COMMANDS = {
    "evaluate": Command(
        "limner.commands.evaluate.command",
        (options.Evaluate,),
        "run=RUN | generated=PATH reference=PATH [KEY=VALUE ...]",
        (
            "limner evaluate run=outputs/vae_digits/... 'measures=[all]'",
            "limner evaluate generated=samples.zip reference=cifar10 metrics=inception",
        ),
        "A key with a dot sets a value of the config, such as metrics.num_samples=5000.",
    ),
    "sample": Command(
        "limner.commands.sample",
        (options.Sample,),
        "run=RUN [KEY=VALUE ...]",
        (
            "limner sample run=outputs/vae_digits/... mode=interpolate",
            "limner sample run=outputs/cgan_mnist/... 'labels=[7]' to=sevens.png",
        ),
    ),
    "transform": Command(
        "limner.commands.transform",
        (options.Transform,),
        "run=RUN input=PATH output=FOLDER [KEY=VALUE ...]",
        (
            "limner transform run=outputs/super_resolution/... input=photos output=enlarged",
            "limner transform run=my_export input=photo.jpg output=. tile=128",
        ),
    ),
    "export": Command(
        "limner.commands.export",
        (options.Export,),
        "run=RUN to=DIR [KEY=VALUE ...]",
        ("limner export run=outputs/vae_digits/... to=my_vae license=mit",),
    ),
    "compare": Command(
        "limner.commands.compare.command",
        (options.Compare, options.CompareBlind),
        "[--blind] RUN [RUN ...] [KEY=VALUE ...]",
        (
            "limner compare outputs/vae_digits/* to=scores.csv",
            "limner compare --blind outputs/gan_mnist/a outputs/gan_mnist/b",
        ),
        "A RUN is the folder of a run, of a sweep or of a search.",
    ),
    "search": Command(
        "limner.commands.search.command",
        (options.Search,),
        "study=NAME space=FILE num_trials=N [KEY=VALUE ...]",
        ("limner search study=first space=gan num_trials=50 model=gan data=mnist",),
        "Any other key is set in all trials, as in limner train. For config files of your own: "
        "--config-dir DIR.",
    ),
}
TRAIN = "train a model and score it; a sweep with -m"


class _Parser(argparse.ArgumentParser):
    """A parser whose help lists the keys of a command, and whose errors are UsageErrors."""

    def __init__(self, *, command: Command | None = None, **more: Any) -> None:
        more.setdefault("allow_abbrev", False)
        super().__init__(**more)
        self.command = command

    def format_help(self) -> str:
        """Return the help of a command, with its keys, flags and examples."""
        if self.command is None:
            return super().format_help()
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, [], [])
        formatter.add_text(self.description)
        for index, keys in enumerate(self.command.options):
            formatter.start_section("keys" if index == 0 else _heading(keys))
            formatter.add_arguments(
                argparse.Action([], field.name, metavar=form(field), help=_help(field))
                for field in dataclasses.fields(keys)
            )
            formatter.end_section()
        formatter.start_section("flags")
        formatter.add_arguments(action for action in self._actions if action.option_strings)
        formatter.end_section()
        if self.command.note:
            formatter.add_text(self.command.note)
        plural = "s" if len(self.command.examples) > 1 else ""
        listed = "\n".join(f"  {line}" for line in self.command.examples)
        return f"{formatter.format_help()}\nexample{plural}:\n{listed}\n"

    def error(self, message: str) -> Any:
        """Raise UsageError instead of exiting."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def top_parser() -> argparse.ArgumentParser:
    """Return the parser of `limner`, for its help and version."""
    parser = _Parser(
        prog="limner",
        usage="limner COMMAND [KEY=VALUE ...]",
        description="Train, score and compare generative image models.",
        epilog="limner COMMAND --help shows the keys of a command. For example:\n"
        "  limner train model=gan data=mnist optimizer.lr=3e-4",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND ...")
    commands.add_parser("train", help=TRAIN, add_help=False)
    for name, command in COMMANDS.items():
        description = command.description
        commands.add_parser(name, help=description[0].lower() + description[1:].rstrip("."))
    return parser


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command: its flags, and its words as positional arguments."""
    command = COMMANDS[name]
    parser = _Parser(
        command=command,
        prog=f"limner {name}",
        usage=f"limner {name} {command.words}",
        description=command.description,
    )
    parser.add_argument("--version", action="version", version=VERSION, help="show the version")
    if name in OWN_CODE:
        parser.add_argument(
            *CONFIG_DIRS, action="append", metavar="DIR",
            help="folder with modules of your own, which trust=[...] names",
        )  # fmt: skip
    if name == "compare":
        parser.add_argument("--blind", action="store_true", help="write a page to choose on")
    parser.add_argument("words", nargs="*")
    return parser


def read_words(name: str, words: Sequence[str]) -> list[str]:
    """Check the flags among the words of a command; return the words for its `run`.

    `--help` and `--version` may be at any position. They print, and raise SystemExit.

    The words of `OWN_CODE` are returned without `--config-dir DIR`.

    Raises:
        UsageError: If a flag is unknown.
    """
    own = [word for word in words if word.split("=")[0] not in _passed(name)]
    _, unknown = command_parser(name).parse_known_intermixed_args(own)
    if unknown:
        raise UsageError(_unknown_flag(name, unknown[0], words))
    return split_flags(words)[1] if name in OWN_CODE else list(words)


def refuse_keys(name: str, words: Sequence[str]) -> None:
    """Check the values of a command's own keys; imports nothing heavy.

    Raises:
        UserError: If a key is unknown or missing, or a value does not fit.
    """
    if name == "compare":  # words of compare are folders
        return
    keys = COMMANDS[name].options[0]
    known = {field.name for field in dataclasses.fields(keys)}
    passes_on = name in ("search", "evaluate")  # other words are overrides of a config
    own = [word for word in words if not passes_on or word.partition("=")[0] in known]
    parse(own, keys)


def refuse_unknown(command: str) -> None:
    """Raise UsageError for a word that is not a command; accept flags of `limner` itself."""
    if command in ("-h", "--help", "--version"):
        return
    names, shown = ["train", *COMMANDS], printable(command)
    if "=" in command and not command.startswith("-"):
        raise UsageError(
            f"{shown}: the first word must be a command; did you mean limner train {shown}?"
        )
    close = difflib.get_close_matches(command.lstrip("-").lower(), names, n=1)
    meant = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names)}"
    raise UsageError(f"there is no command {shown}; {meant}")


def _passed(name: str) -> tuple[str, ...]:
    """Return the flags that a command reads itself."""
    return VALUED if name == "search" else ()


def _unknown_flag(name: str, flag: str, words: Sequence[str]) -> str:
    message = f"{printable(flag.split('=')[0])}: there is no such flag"
    key, _, value = flag.lstrip("-").partition("=")
    key = key.replace("-", "_")
    known = {field.name for keys in COMMANDS[name].options for field in dataclasses.fields(keys)}
    if key in known:
        after = list(words)[list(words).index(flag) + 1 :] if flag in words else []
        value = value or (after[0] if after and "=" not in after[0] else "...")
        return f"{message}; keys have no dashes: {key}={printable(value)}"
    flags = ["--help", "--version", *(["--blind"] if name == "compare" else [])]
    flags += ["--config-dir"] if name in (*OWN_CODE, "search") else []
    return f"{message}; there are: {', '.join(flags)}"


def _heading(keys: type) -> str:
    return "keys " + (keys.__doc__ or "").split(":")[0].lower()


def _help(field: dataclasses.Field) -> str:
    return meaning(field).replace("%", "%%")
