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
from limner.interfaces import Augmentation
from limner.resume.overrides import key_of
from limner.resume.quoting import with_quotes

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "limner"
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
    if "--config-dir" in words:  # config files that a reader of the page writes
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
        assert all(re.match(r"(data|metrics)\.\w", word) for word in beside)
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
    return imported("generated_reference")


@pytest.fixture(scope="module")
def pages(reference):
    """Return the generated pages by name."""
    configuration = reference.configuration_pages(CONFIG_DIR)
    return {**configuration, **reference.command_pages(), **reference.python_pages(PACKAGE)}


def imported(name):
    """Return an extension of the site; skip the test if Sphinx is not installed."""
    sys.path.insert(0, str(ROOT / "docs" / "_extensions"))
    try:
        return pytest.importorskip(name)
    finally:
        sys.path.pop(0)


def plain(markdown):
    """Return the text of Markdown without links and marks of code."""
    return re.sub(r"\]\([^)]*\)|[`\\\\<>\[]", "", markdown).replace("]", "")


@pytest.mark.slow
def test_reference_has_every_option_and_every_comment_of_conf(pages):
    text = plain("\n".join(pages.values()))
    for path in CONFIG_DIR.rglob("*.yaml"):
        if path.parent == CONFIG_DIR or path.parent.name.endswith("_logging"):
            continue
        assert path.stem in text
        for entry in describe_file(path.read_text())[1]:
            if entry.comment:
                assert plain(entry.comment) in text


def test_reference_has_a_type_and_a_meaning_for_every_key(pages):
    tables = "\n".join(text for name, text in pages.items() if name.startswith("config/"))
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \|$", tables, re.M)
    assert len(rows) > 300
    own = [row for row in rows if row[1] != "class" and "option" not in row[1]]
    unexplained = [key for key, _, meaning in own if not meaning]
    assert unexplained == ["beta2_schedule=null", "lr_schedule=null"]
    assert {key.partition("=")[0] for key, kind, _ in own if not kind} <= {
        *("lr_schedule", "beta2_schedule", "hydra.launcher.partition"),
        *("hydra.launcher.account", "hydra.launcher.memory"),
    }
    found = {key: (kind, meaning) for key, kind, meaning in rows}
    assert ("model.latent_dim=64", "whole number", "Size of z, drawn from N(0, I)") in rows
    assert found["model.discriminator_lr=null"][0] == "number or null"


def test_reference_describes_every_option_of_a_group_in_one_line(pages):
    for path in CONFIG_DIR.rglob("*.yaml"):
        if path.parent == CONFIG_DIR or path.parent.name == "base":
            continue
        group = path.parent.relative_to(CONFIG_DIR).as_posix()
        rows = re.findall(
            r"^\| \[`(\w+)`\]\(#\S+\) \| (.*) \|$", pages[f"config/{group}.md"], re.M
        )
        assert dict(rows)[path.stem].strip()


def test_links_to_generated_pages_name_pages_that_are_generated(pages):
    for page in PAGES:
        for link in re.findall(r"\]\((?:\.\./reference/)?generated/([^)#]+)", page.read_text()):
            assert link in pages, page


def test_indented_lines_of_docstrings_are_code_and_other_lines_are_text():
    markup = imported("docstring_markup")
    lines = ["Draw a_b.", "", "    limner.load(*x)", "", "Args:", "    z_1: A `code` of *."]
    converted = markup._converted(lines)
    assert ".. code-block:: python" in converted
    assert "    limner.load(*x)" in converted
    assert "Draw a\\_b." in converted
    assert converted[-1] == "    z\\_1: A ``code`` of \\*."
    linked = markup._converted(["See `limner.models.gan`."])
    assert linked[0] == "See :py:obj:`limner.models.gan`."
    assert ".. code-block:: text" in markup._converted(["A sum:", "", "    p(x) = p(x | z) p(z)"])
    assert ".. code-block:: text" in markup._converted(["D: softplus(-x)    G: softplus(x)"])
    hanging = ["colour   The shares", "         of levels.", "shape    The edges."]
    assert markup._converted(hanging)[:4] == [
        "colour   The shares", "of levels.", "", "shape    The edges."
    ]  # fmt: skip


def test_docstring_of_a_value_keeps_its_text_before_a_colon():
    markup = imported("docstring_markup")
    lines = ["Size: sizes above are refused."]
    markup.convert(None, "data", "limner.x.SIZE", 3, None, lines)
    assert lines[:2] == [":", "Size: sizes above are refused."]


@pytest.mark.parametrize(
    ("comment", "markdown"),
    [
        ("a speed with trainer.precision=bf16-mixed, too.", "`trainer.precision=bf16-mixed`"),
        ("trainer.devices=[2] chooses the third", "`trainer.devices=[2]`"),
        (
            "To score: limner evaluate run=RUN 'measures=[a]'",
            "`limner evaluate run=RUN 'measures=[a]'`",
        ),
        ("Files: --config-dir DIR.", "`--config-dir` DIR"),
        ("none | concat | ada, for D", "`none` | `concat` | `ada`, for D"),
        ("the density q(z | x)", "q(z | x)"),
        ("see optimizer.lr.", "`optimizer.lr`."),
    ],
)
def test_words_to_type_are_code_in_the_reference(comment, markdown):
    assert markdown in imported("comment_markup").prose(comment)


def test_reference_shows_no_arguments_for_a_protocol():
    markup = imported("docstring_markup")
    shown = markup._sign(None, "class", "x", Augmentation, None, "(*args, **kwargs)", "")
    assert shown == ("", None)
    assert markup._sign(None, "class", "x", Path, None, "(*args)", "") is None


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
