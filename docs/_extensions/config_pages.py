"""The pages of the reference for the files of conf/: each group, option and key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import yaml
from comment_markup import cell, code, prose
from key_types import ConfigFile, describe, parameters

from limner.config.commented import Entry, describe_file
from limner.config.schema import CONFIG_DIR, RunConfig

Known = Mapping[str, tuple[str, str]]
"""Dotted keys with type and meaning."""
TITLES = {
    "accelerator": "devices and processes",
    "callbacks": "what happens around training",
    "data": "data sets",
    "data/augmentation": "changes of training images",
    "data/degradation": "changes that a model learns to undo",
    "experiment": "recipes of papers",
    "hydra": "launchers of sweeps, and messages",
    "hydra/hydra_logging": "messages of Hydra itself",
    "hydra/job_logging": "messages of a run",
    "hydra/launcher": "where the jobs of a sweep run",
    "logger": "loggers",
    "lr_schedule": "learning-rate schedules",
    "metrics": "scores during training",
    "metrics/features": "feature networks of scores",
    "model": "models",
    "model/augmentation": "changes of what a discriminator sees",
    "model/condition": "how networks read the class or the text",
    "model/kl_schedule": "weight of a VAE's KL over time",
    "model/likelihood": "likelihoods of a VAE or PixelCNN",
    "model/loss": "losses of a GAN",
    "model/losses": "losses of models that change pictures",
    "model/objective": "objectives of a VAE",
    "model/penalty": "penalties of a discriminator or generator",
    "model/prior": "priors of latent codes",
    "model/scheduled_sampling": "when training reads true frames",
    "model/text": "encoders of texts",
    "network": "networks",
    "optimizer": "optimizers",
    "search": "spaces of searches",
}
INDEX = """\
# Configuration

A word `GROUP=OPTION` chooses a part of a run: `model=gan`. A word `KEY=VALUE` sets a value:
`optimizer.lr=3e-4`. [Choose the parts of a run](../../../howto/choose.md) shows how words combine.

These pages are generated from the files in `conf/` and from the constructors that they name.
`python train.py model=gan --cfg job` prints all keys of one run. In the tables,

- `???` is a value that must be given,
- `${KEY}` is the value of another key,
- a *part* is a mapping whose `_target_` names the class that is built; its other keys are the
  arguments of that class.
"""
INTROS = {
    "experiment": "An experiment is a file of changes to the defaults: `experiment=NAME`. Words "
    "on the command line change it further. [Results](../../results.md) compares published "
    "scores with scores measured here.",
    "search": "A space lists the values that `limner search space=NAME` tries. "
    "[Search for good values](../../../howto/search.md) says how to write one.",
    "hydra/hydra_logging": "A dictionary for Python's `logging.config.dictConfig`.",
    "hydra/job_logging": "A dictionary for Python's `logging.config.dictConfig`.",
    "hydra/launcher": "A launcher runs the jobs of `python train.py -m`: "
    "[Run many jobs](../../../../howto/sweeps.md), "
    "[Use several devices and clusters](../../../../howto/clusters.md).",
}


def configuration_pages(conf: Path) -> dict[str, str]:
    """Return a page for the top-level keys, one for each group and one for each sub-group."""
    groups = sorted(path.name for path in conf.iterdir() if path.is_dir())
    parts = {
        path.parent.relative_to(conf).as_posix()
        for path in conf.rglob("*.yaml")
        if path.parent not in (conf, *conf.glob("*/base"))
    }
    default = _defaults(conf / "train.yaml")
    known = _known(conf)
    pages = {"config/index.md": _index(conf, groups, known)}
    for part in sorted({*groups, *parts}):
        within = sorted(name for name in parts if name.startswith(f"{part}/"))
        pages[f"config/{part}.md"] = _page(conf, part, within, default.get(part), known)
    return pages


def _known(conf: Path) -> Known:
    """Return the type and meaning of all keys, for files that set a key of another file."""
    known: dict[str, tuple[str, str]] = {
        field.name: (describe(hint), "")
        for field, hint in zip(fields(RunConfig), get_type_hints(RunConfig).values(), strict=True)
    }
    files = [
        (path, path.parent.relative_to(conf).as_posix().removesuffix("/base"))
        for path in sorted(conf.rglob("*.yaml"))
    ]
    parts = [each for each in files if each[1] not in ("experiment", "search", ".")]

    def add(key: str, kind: str, meaning: str) -> None:
        old = known.get(key, ("", ""))
        known[key] = (old[0] or kind, old[1] or meaning)

    for path, folder in parts:
        file = ConfigFile(path, _package(path.read_text(), folder))
        if str(file.values.get("_target_", "")).startswith("limner"):
            for name, (kind, stated) in parameters(file.values["_target_"]).items():
                add(f"{file.package}.{name}", kind, stated)
    for path, folder in parts:
        text = path.read_text()
        file = ConfigFile(path, _package(text, folder))
        for entry in describe_file(_without_package(text))[1]:
            if not entry.is_choice and not entry.key.endswith("_target_"):
                kind, stated = file.type_and_meaning(entry.key)
                add(_key(entry, file.package, folder), kind, entry.comment or stated)
    return known


def _index(conf: Path, groups: Sequence[str], known: Known) -> str:
    path = conf / "train.yaml"
    _, entries = describe_file(path.read_text())
    rows = [f"| [`{group}`]({group}.md) | {TITLES.get(group, '')} |" for group in groups]
    keys = [entry for entry in entries if not re.match("(override )?hydra|defaults", entry.key)]
    toctree = ["```{toctree}", ":hidden:", "", *groups, "```", ""]
    lines = ["## Groups", "", "| group | |", "|---|---|", *rows, "", *toctree]
    lines += ["## Top-level keys", "", *_table(keys, ConfigFile(path, ""), known, folder="")]
    return "\n".join([INDEX, *lines]) + "\n"


def _page(conf: Path, part: str, within: Sequence[str], default: str | None, known: Known) -> str:
    """Return the page of a group: its options, keys that all of them have, and each option."""
    paths = sorted((conf / part).glob("*.yaml"))
    shared = sorted((conf / part / "base").glob("*.yaml"))
    lines = [f"# `{part}`: {TITLES.get(part, 'options')}", ""]
    if part in INTROS:
        lines += [INTROS[part], ""]
    elif default is not None:
        lines += [f"Written `{part}=OPTION`; the default is `{default}`.", ""]
    elif paths:
        lines += [f"Written `{part}=OPTION`.", ""]
    if paths:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| [`{p.stem}`](#{_label(part, p)}) | {_summary(p)} |" for p in paths]
        lines.append("")
    if within:
        up = part.rpartition("/")[2]
        lines += ["| group within it | |", "|---|---|"]
        lines += [f"| [`{name}`]({name[len(part) - len(up) :]}.md) | {TITLES.get(name, '')} |"
                  for name in within]  # fmt: skip
        lines += ["", "```{toctree}", ":hidden:", ""]
        lines += [f"{name[len(part) - len(up) :]}" for name in within]
        lines += ["```", ""]
    for path in shared:
        of = f": {path.stem}" if len(shared) > 1 else ""
        lines += [f"({_label(part, path)})=", f"## Keys of `{part}` that options share{of}", ""]
        lines += _body(f"{part}/base", path, known)
    for path in paths:
        lines += [f"({_label(part, path)})=", f"## `{part}={path.stem}`", ""]
        lines += _body(part, path, known)
    return "\n".join(lines) + "\n"


def _body(part: str, path: Path, known: Known) -> list[str]:
    """Return what a file states: comment at the top, bases, class and keys."""
    text = _without_package(path.read_text())
    head, entries = describe_file(text)
    lines = [prose(head), ""] if head.strip() else []
    file = ConfigFile(path, _package(path.read_text(), part))
    rows = _shown(entries)
    if part.endswith("_logging"):
        return [*lines, "```yaml", re.sub(r"\A(#.*\n)+", "", text).strip(), "```", ""]
    if part in ("experiment", "search"):
        return [*lines, *_listing(rows, file)]
    bases = [f"[`{_written(part, base)}`](#{_label(part, base)})" for base in file.bases]
    if bases and not all(base.parent.name == "base" for base in file.bases):
        lines += [f"It has the keys of {' and '.join(bases)}" + (", and:" if rows else "."), ""]
    elif bases:
        lines += [
            f"It also has [the keys that options share](#{_label(part, file.bases[0])}).",
            "",
        ]
    target = file.values.get("_target_")
    if target:
        lines += [f"Builds {code(target)}.", ""]
    return lines + (_table(rows, file, known, folder=part) if rows else [])


def _listing(entries: Sequence[Entry], file: ConfigFile) -> list[str]:
    """Return the changes of an experiment as the words that would make them."""
    words = [
        (f"{_key(entry, file.package, 'experiment')}={_value(entry)}", entry.comment)
        for entry in entries
        if entry.value is not None
    ]
    width = min(40, max((len(word) for word, _ in words), default=0))
    lines = [f"{word:{width}}  # {note}" if note else word for word, note in words]
    return ["```text", *lines, "```", ""] if lines else []


def _table(entries: Sequence[Entry], file: ConfigFile, known: Known, *, folder: str) -> list[str]:
    """Return a table of keys: the default as one types it, the type, and the meaning."""
    rows = []
    for entry in entries:
        if entry.is_choice:
            kind, meaning = f"[option]({_link(entry, folder)})", _options(entry, folder)
        elif entry.key.endswith("._target_"):
            kind, meaning = "class", cell(file.class_summary(entry.key))
        else:
            kind, stated = file.type_and_meaning(entry.key)
            elsewhere = known.get(_key(entry, file.package, folder), ("", ""))
            kind = kind if kind not in ("", "mapping") else elsewhere[0] or kind
            meaning = cell(entry.comment or stated or elsewhere[1])
        equals = "" if entry.value is None else f"={_value(entry)}"
        word = f"{_key(entry, file.package, folder)}{equals}"
        rows.append(f"| {code(word)} | {kind} | {meaning} |")
    head = ["```{table}", ":class: keys", ""]
    return [*head, "| key=default | type | meaning |", "|---|---|---|", *rows, "```", ""]


def _link(entry: Entry, folder: str) -> str:
    group = _key(entry, "", folder)
    return "../" * folder.removesuffix("/base").count("/") + f"{group}.md"


def _options(entry: Entry, folder: str) -> str:
    """Return the comment of a choice; each option that it names is a link."""
    group = _key(entry, "", folder)
    names = {path.stem for path in (CONFIG_DIR / group).glob("*.yaml")}
    return re.sub(
        r"`(\w+)`",
        lambda name: (
            f"[{name[0]}](#{_label(group, Path(name[1]))})" if name[1] in names else name[0]
        ),
        cell(entry.comment or ""),
    )


def _shown(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that a user can set; a mapping on one line is one entry."""
    shown: list[Entry] = []
    for entry in entries:
        is_inside = shown and shown[-1].value and entry.key.startswith(f"{shown[-1].key}.")
        hidden = entry.key == "_target_" or entry.key.rpartition(".")[2] == "_partial_"
        if not hidden and not is_inside and (entry.value is not None or entry.comment is not None):
            shown.append(entry)
    return shown


def _key(entry: Entry, package: str, folder: str) -> str:
    """Return a key as one types it: an entry of a defaults list names a group."""
    if not entry.is_choice:
        return f"{package}.{entry.key}" if package else entry.key
    group = entry.key.removeprefix("override ").partition("@")[0]
    folder = "" if folder == "experiment" else folder.removesuffix("/base")
    return group.removeprefix("/") if group.startswith("/") else f"{folder}/{group}".strip("/")


def _value(entry: Entry) -> str:
    return " ".join((entry.value or "").split())


def _package(text: str, folder: str) -> str:
    """Return the dotted key below which a file's keys stand."""
    named = re.match(r"# @package (\S+)", text)
    if named is not None:
        return "" if named[1] == "_global_" else named[1]
    return "" if folder == "search" else folder.removesuffix("/base").replace("/", ".")


def _without_package(text: str) -> str:
    """Return a file without Hydra's first line, so that its comment stands at the top."""
    return re.sub(r"\A(# @package .*\n)?\n*", "", text)


def _defaults(path: Path) -> dict[str, str]:
    """Return the option of each group in a defaults list."""
    entries = yaml.safe_load(path.read_text())["defaults"]
    chosen = {key: value for e in entries if isinstance(e, dict) for key, value in e.items()}
    return {
        key.removeprefix("override "): f"[{','.join(value)}]" if isinstance(value, list) else value
        for key, value in chosen.items()
        if value is not None
    }


def _summary(path: Path) -> str:
    """Return the first sentence of the comment at the top of a file, as a cell."""
    head, _ = describe_file(_without_package(path.read_text()))
    return re.split(r"(?<!al)\. (?=[A-Z])", cell(head))[0].rstrip(".")


def _label(part: str, path: Path) -> str:
    name = f"shared-{path.stem}" if path.parent.name == "base" else path.stem
    return f"config-{part.removesuffix('/base')}-{name}".replace("/", "-").replace("_", "-")


def _written(part: str, path: Path) -> str:
    return f"{part}={path.stem}"
