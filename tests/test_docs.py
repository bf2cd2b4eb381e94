"""The documentation: its commands are valid, and what it names exists."""

import copy
import dataclasses
import functools
import itertools
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from limner.commands.parser import COMMANDS, read_words
from limner.config.command_options import parse
from limner.config.commented import describe_file
from limner.config.error_messages import explain
from limner.config.schema import CONFIG_DIR, register
from limner.errors import UserError
from limner.resume.overrides import key_of
from limner.resume.quoting import with_quotes

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "docs" / "reference" / "generated"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if not path.is_relative_to(GENERATED) and "_build" not in path.parts
)
NOT_OF_TRAINING = ("resume", "sweep", "hydra/launcher", "num_trials", "study", "space")
"""Words that name a folder which a reader has, or that Hydra itself reads."""
PLUGINS = "hydra.launcher"


@dataclasses.dataclass(frozen=True)
class Shown:
    """A command that a page shows."""

    page: str
    words: tuple[str, ...]
    is_mistake: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def commands(text: str, page: str = "page") -> Iterator[Shown]:
    """Yield the commands of limner in the bash and console blocks of a page."""
    blocks = re.findall(r"^```(\{code-block\} )?(bash|console)\n(.*?)^```", text, re.M | re.S)
    for _, language, body in blocks:
        is_mistake = body.startswith(":class: mistake")
        for line in body.replace("\\\n", " ").splitlines():
            if language == "console" and not line.startswith("$ "):
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for at, word in enumerate(words):
                if word == "limner" or word == "train.py":
                    end = words.index("&&", at) if "&&" in words[at:] else len(words)
                    command = ["train", *words[at + 1 : end]]
                    command = command if word == "train.py" else command[1:]
                    if "install=bash" not in " ".join(command):
                        yield Shown(page, tuple(command), is_mistake)
                    break


SHOWN = [
    shown
    for page in PAGES
    for shown in commands(page.read_text(), page.relative_to(ROOT).as_posix())
]


def train_words(words: tuple[str, ...]) -> list[str]:
    """Return the config words of a command, without words that name a folder of the reader."""
    kept, flags = [], iter(words)
    for word in flags:
        key = word.split("=")[0]
        if word == "--config-dir" or word == "--cfg":
            next(flags)
        elif word.startswith("-") or key in NOT_OF_TRAINING or key.startswith(PLUGINS):
            continue
        else:
            kept.append(word)
    return kept


def check_train(words: tuple[str, ...]) -> None:
    """Compose the config of a training command, or of the first job of a sweep.

    Hydra's own functions set the values.
    """
    asked = list(words)
    if "-m" in words:
        asked = [re.sub(r"=([^\[{'\"(]*?),.*", r"=\1", word) for word in asked]
    if "--config-dir" in words:  # config files of the reader
        asked = [
            word for word in asked if not re.match(r"(network|model/loss|data|metrics)=", word)
        ]
    words = with_quotes(train_words(tuple(asked)))
    keys = {word: key_of(word) for word in words}
    choices = [w for w in words if (CONFIG_DIR / keys[w]).is_dir() or keys[w][:6] == "hydra."]
    values = [word for word in words if word not in choices]
    parsed = OverridesParser.create().parse_overrides(values)
    config = copy.deepcopy(composed(tuple(choices)))
    ConfigLoaderImpl._apply_overrides_to_config(parsed, config)


@functools.cache
def composed(choices: tuple[str, ...]) -> DictConfig:
    """Compose these choices of options; several commands differ in values only."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(choices))


def check_other(name: str, words: list[str]) -> None:
    """Parse the words of another command."""
    read_words(name, words)
    keys = {
        field.name for options in COMMANDS[name].options for field in dataclasses.fields(options)
    }
    given = [word for word in words if word.split("=")[0] in keys]
    beside = [word for word in words if word not in given and "=" in word]
    if name == "search":
        check_train(tuple(beside))
    elif name == "evaluate":
        assert all(re.match(r"metrics\.\w", word) for word in beside)
    else:
        assert not beside
    options = COMMANDS[name].options[1 if "--blind" in words else 0]
    parse(given, options)


def test_pages_show_commands():
    assert len(SHOWN) > 50
    assert {shown.words[0] for shown in SHOWN if shown.words} >= {"train", *COMMANDS}


FIRST = ("README.md", "docs/tutorial.md")


@pytest.mark.parametrize(
    "shown",
    [pytest.param(s, marks=[] if s.page in FIRST else [pytest.mark.slow]) for s in SHOWN],
    ids=str,
)
def test_commands_in_documents_are_valid(shown):
    register()
    name, *words = shown.words
    if shown.is_mistake:
        with pytest.raises((HydraException, UserError)) as caught:
            check_train(tuple(words))
        assert explain(caught.value) is not None
    elif name == "train":
        check_train(tuple(words))
    elif name in COMMANDS:
        check_other(name, words)
    else:
        assert name in ("--help", "COMMAND")


@pytest.mark.parametrize(
    "line", ["python train.py model=vea", "python train.py typo.key=1", "limner sample rum=RUN"]
)
def test_wrong_commands_are_noticed(line):
    (shown,) = commands(f"```bash\n{line}\n```\n")
    register()
    name, *words = shown.words
    with pytest.raises((HydraException, UserError, AssertionError)):
        check_train(tuple(words)) if name == "train" else check_other(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_of_documents_exist(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not target.startswith("http")]
    gone = [
        target
        for target in local
        if "generated/" not in target and not (page.parent / target).exists()
    ]
    assert not gone


def test_pictures_of_documents_are_small():
    large = [p.name for p in (ROOT / "docs" / "images").iterdir() if p.stat().st_size > 100_000]
    assert not large


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_readme_names_every_option_of_the_groups_of_models():
    text = (ROOT / "README.md").read_text()
    table = {row[0]: row[1] for row in re.findall(r"^\| `([\w/]+)` \| (.*) \|$", text, re.M)}
    for group, options in itertools.chain(table.items()):
        if group == "experiment":
            continue
        files = {path.stem for path in (CONFIG_DIR / group).glob("*.yaml")}
        named = set(re.findall(r"`\[?([\w]+)(?:,(\w+))?\]?`", options))
        names = {name for pair in named for name in pair if name}
        assert files - names <= {"none"}, group


@pytest.fixture(scope="module")
def reference():
    """Return the extension that writes the generated pages."""
    sys.path.insert(0, str(ROOT / "docs" / "_extensions"))
    try:
        return pytest.importorskip("generated_reference")
    finally:
        sys.path.pop(0)


def test_reference_has_every_option_and_every_comment_of_conf(reference):
    pages = "\n".join(reference.configuration_pages(CONFIG_DIR).values())
    for path in CONFIG_DIR.rglob("*.yaml"):
        if path.parent == CONFIG_DIR:
            continue
        assert path.stem in pages
        for entry in describe_file(path.read_text())[1]:
            if entry.comment:
                assert reference._cell(entry.comment) in pages


def test_reference_has_every_key_of_every_command(reference):
    (page,) = reference.command_pages().values()
    for command in COMMANDS.values():
        for options in command.options:
            assert all(f"`{field.name}=" in page for field in dataclasses.fields(options))


def test_package_page_has_no_address_of_the_repository():
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]
    text = (ROOT / "README.md").read_text()
    for change in hook["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    assert "](https://hydra.cc)" in text
    assert not re.search(r"\]\((?!https?:)", text)
