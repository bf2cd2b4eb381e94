"""Write the pages of the reference that follow from the code, before Sphinx reads its sources.

- Configuration: each group, option and key of conf/, see `config_pages`.
- Commands: the keys of each `limner COMMAND`, from the classes that also make its `--help`.
- Python: one page for each module of a public package, filled in by autodoc.

The pages lie in docs/reference/generated, which git ignores.
"""

import ast
import dataclasses
import typing
from pathlib import Path

from comment_markup import cell, code, prose
from config_pages import configuration_pages
from key_types import describe
from sphinx.application import Sphinx

from limner.commands.parser import COMMANDS
from limner.config.command_options import form, meaning
from limner.config.schema import CONFIG_DIR

PACKAGE = Path(__file__).parents[2] / "src" / "limner"
PYTHON = {
    "interfaces": ("What parts assume of one another", ["interfaces", "errors"]),
    "models": ("Models", ["models"]),
    "networks": ("Networks", ["networks"]),
    "losses": ("Losses, likelihoods and penalties", ["losses"]),
    "augmentations": ("Augmentations", ["augmentations"]),
    "schedules": ("Schedules", ["schedules"]),
    "data": ("Data", ["data"]),
    "metrics": ("Metrics", ["metrics"]),
    "callbacks": ("Callbacks", ["callbacks"]),
    "loggers": ("Loggers", ["loggers"]),
    "support": ("Random numbers, pixels, cache", ["randomness", "pixels", "cache"]),
}
"""Page -> title, and modules of limner; a package stands for a page of each of its modules."""
FUNCTIONS = """\
Functions of limner
===================

.. py:module:: limner

``import limner`` gives these functions and classes. :doc:`../../../howto/python` and
:doc:`../../../howto/export` show the usual calls. :doc:`interfaces` lists the exceptions.

"""
MEMBERS = {
    "autofunction": ["train", "load", "evaluate", "compose", "build", "open_data"],
    "autoclass": ["TrainedRun", "TrainedModel", "Styles", "Parts"],
}
"""Directive of autodoc -> names that the page of functions shows with this directive."""


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
        lines += [f"(command-{name})=", f"## `limner {name}`", "", prose(command.description), ""]
        lines += ["```bash", f"limner {name} {command.words}", "```", ""]
        for keys in command.options:
            if keys is not command.options[0]:
                lines += [prose(keys.__doc__ or ""), ""]
            hints = typing.get_type_hints(keys)
            lines += ["```{table}", ":class: keys", ""]
            lines += ["| key | type | meaning |", "|---|---|---|"]
            lines += [
                f"| {code(form(field))} | {describe(hints[field.name])} | {cell(meaning(field))} |"
                for field in dataclasses.fields(keys)
            ]
            lines += ["```", ""]
        lines += [prose(command.note), ""] if command.note else []
        lines += ["For example:", "", "```bash", *command.examples, "```", ""]
    return {"commands.md": "\n".join(lines)}


def python_pages(package: Path) -> dict[str, str]:
    """Return pages of autodoc directives for the public interface."""
    index = [
        "# Python",
        "",
        (
            "These pages are generated from docstrings. "
            "[Use limner from Python](../../../howto/python.md) and "
            "[Use a trained model](../../../howto/export.md) show the usual calls, and "
            "[Add a part](../../../howto/parts.md) what a part of your own must have."
        ),
        "",
        *_toctree(["limner", *PYTHON], hidden=False),
    ]
    pages = {"python/index.md": "\n".join(index), "python/limner.rst": _functions()}
    for page, (title, names) in PYTHON.items():
        if (package / names[0]).is_dir():
            pages |= _package_pages(package / names[0], title)
        else:
            parts = [_module(f"limner.{name}", "-") for name in names]
            pages[f"python/{page}.rst"] = "\n".join([title, "=" * len(title), "", *parts])
    return pages


def _functions() -> str:
    lines = []
    for directive, names in MEMBERS.items():
        lines += [f".. {directive}:: limner.{name}\n" for name in names]
    return FUNCTIONS + "\n".join(lines)


def _package_pages(folder: Path, title: str) -> dict[str, str]:
    """Return a page that lists the modules of a package, and a page for each module."""
    files = [path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    lines = [f"# {title}", "", "| module | |", "|---|---|"]
    for path in files:
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
        link = f"[`limner.{folder.name}.{path.stem}`]({folder.name}/{path.stem}.rst)"
        lines.append(f"| {link} | {cell(first)} |")
    names = [f"{path.stem} <{folder.name}/{path.stem}>" for path in files]
    pages = {f"python/{folder.name}.md": "\n".join([*lines, "", *_toctree(names, hidden=True)])}
    for path in files:
        module = f"limner.{folder.name}.{path.stem}"
        pages[f"python/{folder.name}/{path.stem}.rst"] = _module(module, "=")
    return pages


def _module(module: str, underline: str) -> str:
    heading = f"``{module}``"
    return "\n".join([heading, underline * len(heading), "", f".. automodule:: {module}", ""])


def _toctree(names: list[str], *, hidden: bool) -> list[str]:
    option = ":hidden:" if hidden else ":maxdepth: 1"
    return ["```{toctree}", option, "", *names, "```", ""]
