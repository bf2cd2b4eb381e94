"""Write the pages of the reference that follow from the code, before Sphinx reads its sources.

- Configuration: each group, option and key of conf/, with the comments that stand there.
- Commands: the keys of each `limner COMMAND`, from the classes that also make its `--help`.
- Python: one page for each public package, filled in by autodoc.

The pages lie in docs/reference/generated, which git ignores.
"""

import dataclasses
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from limner.commands.parser import COMMANDS
from limner.config.command_options import form, meaning
from limner.config.commented import Entry, describe_file
from limner.config.schema import CONFIG_DIR

PACKAGE = Path(__file__).parents[2] / "src" / "limner"
TITLES = {
    "accelerator": "Devices and processes",
    "callbacks": "What happens around training",
    "data": "Data sets",
    "experiment": "Experiments: changes to everything else",
    "hydra": "Launchers of sweeps",
    "logger": "Loggers",
    "lr_schedule": "Learning-rate schedules",
    "metrics": "Scores during training",
    "model": "Models",
    "network": "Networks",
    "optimizer": "Optimizers",
    "search": "Spaces of searches",
}
PYTHON = {
    "using": (
        "Functions of limner",
        ["commands.python", "pretrained.load", "pretrained.trained_model"],
    ),
    "interfaces": ("What parts assume of one another", ["interfaces", "errors"]),
    "models": ("Models", ["models"]),
    "networks": ("Networks", ["networks"]),
    "losses": ("Losses, likelihoods and penalties", ["losses"]),
    "augmentations": ("Augmentations and schedules", ["augmentations", "schedules"]),
    "data": ("Data", ["data"]),
    "metrics": ("Metrics", ["metrics"]),
    "callbacks": ("Callbacks and loggers", ["callbacks", "loggers"]),
    "support": ("Random numbers, pixels, cache", ["randomness", "pixels", "cache"]),
}
"""Page: its title, and modules or packages of limner; a package stands for all of its modules."""


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write all generated pages; a page whose text is unchanged keeps its time."""
    folder = Path(app.srcdir) / "reference" / "generated"
    pages = {**configuration_pages(CONFIG_DIR), **command_pages(), **python_pages(PACKAGE)}
    for path in folder.rglob("*.*") if folder.exists() else ():
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    if not pages:
        shutil.rmtree(folder, ignore_errors=True)


def configuration_pages(conf: Path) -> dict[str, str]:
    """Return a page for the top-level keys and one for each group of conf/."""
    groups = sorted(path.name for path in conf.iterdir() if path.is_dir())
    subgroups = {
        group: sorted({path.parent.relative_to(conf).as_posix() for path in _files(conf / group)})
        for group in groups
    }
    _, entries = describe_file((conf / "train.yaml").read_text())
    index = [
        "# Configuration",
        "",
        (
            "These pages are generated from the files in `conf/`: each group, option and "
            "key, with its default and the comment beside it. `python train.py --cfg job` prints "
            "the composed config of one run with the same comments."
        ),
        "",
        "```{toctree}",
        *(f"{group}" for group in groups),
        "```",
        "",
        "## Top-level keys",
        "",
        *_table(
            [entry for entry in entries if not re.match("(override )?hydra", entry.key)],
            package="",
            folder="",
        ),
    ]
    pages = {"config/index.md": "\n".join(index) + "\n"}
    for group in groups:
        title = TITLES.get(group, group)
        lines = [f"# `{group}`: {title[0].lower()}{title[1:]}", ""]
        for folder in subgroups[group]:
            if folder != group:
                lines += [f"## `{folder}`", ""]
            for path in sorted((conf / folder).glob("*.yaml")):
                lines += _option(folder, path, level="##" if folder == group else "###")
        pages[f"config/{group}.md"] = "\n".join(lines) + "\n"
    return pages


def command_pages() -> dict[str, str]:
    """Return the page of all commands."""
    lines = [
        "# Commands",
        "",
        (
            "`limner train` takes the words of the [configuration](config/index.md): groups as "
            "`GROUP=OPTION` and keys as `KEY=VALUE`. `python train.py` in a clone is the same "
            "command. The other commands take the keys below. `limner COMMAND --help` prints "
            "them too."
        ),
        "",
    ]
    for name, command in COMMANDS.items():
        lines += [f"## `limner {name}`", "", command.description, ""]
        lines += ["```text", f"limner {name} {command.words}", "```", ""]
        for keys in command.options:
            if keys is not command.options[0]:
                lines += [(keys.__doc__ or "").strip(), ""]
            lines += ["| key | meaning |", "|---|---|"]
            lines += [
                f"| {_code(form(field))} | {_cell(meaning(field))} |"
                for field in dataclasses.fields(keys)
            ]
            lines.append("")
        lines += [command.note, ""] if command.note else []
        lines += ["For example:", "", "```bash", *command.examples, "```", ""]
    return {"commands.md": "\n".join(lines)}


def python_pages(package: Path) -> dict[str, str]:
    """Return a page of autodoc directives for each part of the public interface."""
    pages = {
        "python/index.md": "\n".join(
            [
                "# Python",
                "",
                (
                    "These pages are generated from docstrings. "
                    "[Use a trained model](../../../howto/export.md) shows the usual calls, and "
                    "[Add a part](../../../howto/parts.md) what a part of your own must have."
                ),
                "",
                "```{toctree}",
                *PYTHON,
                "```",
                "",
            ]
        )
    }
    for page, (title, names) in PYTHON.items():
        lines = [title, "=" * len(title), ""]
        for name in names:
            for module in _modules(package, name):
                lines += [f"``{module}``", "-" * (len(module) + 4), ""]
                lines += [f".. automodule:: {module}", ""]
        pages[f"python/{page}.rst"] = "\n".join(lines)
    return pages


def _modules(package: Path, name: str) -> list[str]:
    if not name:
        return ["limner"]
    path = package / name.replace(".", "/")
    if not path.is_dir():
        return [f"limner.{name}"]
    files = sorted(path.glob("*.py"))
    return [f"limner.{name}.{file.stem}" for file in files if file.stem != "__init__"]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.yaml"))


def _option(folder: str, path: Path, *, level: str) -> list[str]:
    """Return the section of one option: heading, comment at the top, class, table of keys."""
    text = path.read_text()
    head, entries = describe_file(text)
    lines = [f"{level} `{folder}={path.stem}`" if path.parent.name != "base" else
             f"{level} `{folder}/{path.stem}`: shared by the options above", ""]  # fmt: skip
    if head.strip():
        lines += [_prose(head), ""]
    target = [entry for entry in entries if entry.key == "_target_"]
    if target and target[0].value:
        lines += [f"Builds {_code(target[0].value)}.", ""]
    rows = [entry for entry in entries if _is_shown(entry)]
    return (
        lines
        + (_table(rows, package=_package(text, folder), folder=folder) if rows else [])
        + [""]
    )


def _is_shown(entry: Entry) -> bool:
    hidden = entry.key in ("_target_", "_partial_", "_self_") or entry.key.endswith("._partial_")
    return not hidden and (entry.value is not None or entry.comment is not None)


def _table(entries: list[Entry], *, package: str, folder: str) -> list[str]:
    """Return a Markdown table: each key with its default, as one types it, and its comment."""
    lines = ["| default | |", "|---|---|"]
    for entry in entries:
        word = f"{_key(entry, package, folder)}={' '.join((entry.value or '').split())}"
        lines.append(f"| {_code(word)} | {_cell(entry.comment or '')} |")
    return lines


def _key(entry: Entry, package: str, folder: str) -> str:
    """Return a key as one types it: an entry of a defaults list names a group."""
    if not entry.is_choice:
        return f"{package}.{entry.key}" if package else entry.key
    group = entry.key.removeprefix("override ").partition("@")[0]
    return group.removeprefix("/") if group.startswith("/") else f"{folder}/{group}".strip("/")


def _package(text: str, folder: str) -> str:
    """Return the dotted key below which a file's keys stand."""
    named = re.match(r"# @package (\S+)", text)
    if named is not None:
        return "" if named[1] == "_global_" else named[1]
    return "" if folder == "search" else folder.removesuffix("/base").replace("/", ".")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


def _prose(text: str) -> str:
    """Return a comment as Markdown: addresses become links, and no other character is markup."""
    parts = re.split(r"(`[^`]*`|https?://[^\s,;)]+)", " ".join(text.split()))
    return "".join(
        part
        if part.startswith("`")
        else f"<{part.rstrip('.:')}>{part[len(part.rstrip('.:')) :]}"
        if part.startswith("http")
        else re.sub(r"([\\*_<>\[\]$~#])", r"\\\1", part)
        for part in parts
    )
