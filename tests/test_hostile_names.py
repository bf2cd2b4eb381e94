r"""Outputs of limner for a name with terminal sequences, line feeds and markup.

The name stands for any name from an untrusted source: a file, a class, a score, a config value.
"""

import io
import json
import logging
import sys
import unicodedata
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import rich
import torch
import yaml
from markdown_it import MarkdownIt
from rich.console import Console

from limner import cli
from limner import console as limner_console
from limner.callbacks import progress
from limner.callbacks.log import Log
from limner.commands import export as export_command
from limner.commands import sample as sample_command
from limner.commands.model_card import model_card
from limner.commands.search.results import write_experiment
from limner.commands.sweep.command import tell
from limner.commands.sweep.records import write_record
from limner.console import ConsoleHandler, FileHandler, escape_errors, say
from limner.errors import UserError
from limner.files.markdown import code, fenced, plain
from limner.files.printable import UNSAFE, printable
from limner.metrics.time_to_score import Curve, write_picture
from limner.pretrained.safe_build import read_config
from limner.pretrained.trained_model import TrainedModel
from limner.runs.scores import scores_table

NAME = "[red]a[/red]\x1b[31m\x9b2J\r\nFAKE:\u202e$\\nope{$|`<script>:boom:"
FOLDER = NAME.replace("/", "")


def assert_harmless(said: str) -> None:
    """Assert that an output has the whole name in one line, and no control sequence."""
    assert not {c for c in said if unicodedata.category(c) in UNSAFE} - {"\n"}
    assert "FAKE" in said
    assert not any(line.strip().startswith("FAKE") for line in said.splitlines())
    assert "[red]a[" in said.replace("\\[", "[")


@pytest.fixture
def wide(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(rich, "_console", None)  # the next console has this width
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_log_escapes_the_names_in_its_messages(wide, capsys):
    logger = logging.Logger("test")
    logger.addHandler(ConsoleHandler())
    logger.addHandler(FileHandler("train.log"))
    for name in (NAME, Path(FOLDER)):
        logger.warning("%s: two\nlines", name)
    for said in (capsys.readouterr().out, Path("train.log").read_text()):
        assert_harmless(said)
        assert said.count("\n") == 4


def test_log_keeps_the_lines_of_exceptions(wide, capsys):
    logger = logging.Logger("test")
    logger.addHandler(ConsoleHandler())
    logger.warning("%(error)s", {"error": UserError("one\ntwo \x1b[31m")})
    try:
        raise ValueError("\x1b[31m")
    except ValueError:
        logger.exception("three")
    said = capsys.readouterr().out
    assert said.startswith("one\ntwo \\x1b[31m\nthree\nTraceback")
    assert "\x1b" not in said


def test_say_shows_markup_and_emoji_codes_unchanged(wide, capsys):
    say(printable(NAME))
    assert_harmless(said := capsys.readouterr().out)
    assert ":boom:" in said


def test_scores_table_shows_a_name_as_it_is(wide, capsys):
    entry = {"value": 1.0, "protocol": {"split": NAME}}
    Console().print(scores_table({NAME: entry}))
    assert_harmless(said := capsys.readouterr().out)
    assert said.count("FAKE") == 2


def test_sweep_table_shows_names_as_they_are(wide, capsys):
    for number, word in enumerate((f"model={NAME}", "model=vae")):
        write_record(wide / "sweep" / str(number), [word], number, f"{NAME} failed")
        (wide / "sweep" / str(number)).mkdir()
        (wide / "sweep" / str(number) / "status.json").write_text(json.dumps({"state": NAME}))
    assert tell(wide / "sweep") == 1
    assert_harmless(said := capsys.readouterr().out)
    assert said.count("FAKE") >= 4


def test_experiment_file_of_a_search_holds_names_in_its_comments(tmp_path):
    write_experiment(tmp_path / "x" / "best.yaml", ["optimizer.lr=1"], title=f"\n{NAME}")
    text = (tmp_path / "x" / "best.yaml").read_text()
    assert_harmless(text)
    assert yaml.safe_load(text) == {"optimizer": {"lr": 1}}


def test_progress_bar_shows_a_name_as_it_is(monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system=None, width=500)
    monkeypatch.setattr(limner_console, "get_console", lambda: console)
    log = Log(every_num_updates=1)
    log.latest[f"train/loss{NAME}"] = 1.0
    trainer = SimpleNamespace(
        callbacks=[log], is_global_zero=True, global_step=0, max_steps=9, max_epochs=None
    )
    bar = progress.Progress()
    bar.on_train_start(trainer, None)
    bar.on_train_end(trainer, None)
    said = shown.getvalue()
    assert "loss[red]a[/red]\\x1b[31m\\x9b2J\\x0d\\x0aFAKE:\\u202e$" in said


@pytest.mark.parametrize("words", [[NAME], ["compare", NAME], ["sample", f"run={NAME}"]])
def test_command_names_its_words_in_messages(wide, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["limner", *words])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with pytest.raises(SystemExit):
        cli.main()
    said = "".join(capsys.readouterr())
    assert not {c for c in said if unicodedata.category(c) in UNSAFE} - {"\n"}
    assert "[red]a[" in said


def test_sample_prints_the_paths_that_it_writes(wide, monkeypatch, capsys):
    monkeypatch.setattr(sample_command, "_grid", lambda options: [Path(FOLDER)])
    assert sample_command.run(["run=x"]) == 0
    assert_harmless(capsys.readouterr().out)


def test_export_prints_the_folder_that_it_writes(wide, monkeypatch, capsys):
    monkeypatch.setattr(export_command, "load", lambda *args, **kwargs: None)
    monkeypatch.setattr(export_command, "_write", lambda model, folder, options: None)
    monkeypatch.setattr(
        export_command, "parse", lambda *args: export_command.Options(run="x", to=FOLDER)
    )
    assert export_command.run([]) == 0
    assert_harmless(capsys.readouterr().out)


def test_traceback_and_warning_escape_what_they_quote(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    escape_errors()
    error = ValueError("\x1b[31m")
    sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == "ValueError: \\x1b[31m\n"
    assert "\\x1b[31m" in warnings.formatwarning("\x1b[31m", UserWarning, "x.py", 1, "")


def test_refused_config_names_its_keys_in_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text(json.dumps({NAME: {"a": f"{NAME}${{oc.env:HOME}}"}}))
    with pytest.raises(UserError) as error:
        read_config(tmp_path / "config.yaml")
    assert_harmless(str(error.value))
    assert "\n" not in str(error.value)


def test_model_names_its_source_as_it_is():
    config = {"data": {"image_shape": [1, 8, 8], "num_classes": None}}
    assert_harmless(
        repr(TrainedModel(torch.nn.Linear(1, 1), config=config, update=1, source=NAME))
    )


def test_curve_is_drawn_for_any_name(tmp_path):
    curve = {"$\\nope{$": Curve([1], [1.0], [1.0])}
    write_picture(curve, tmp_path / "x.png", score="$\\nope{$")
    assert (tmp_path / "x.png").stat().st_size > 0


def tokens(markdown: str) -> list[tuple[str, str]]:
    """Return the token types of a rendered text, and the texts that are shown."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        found.append((token.type, ""))
        found += [(part.type, part.content) for part in token.children or []]
    return found


def card(name: str) -> str:
    protocol = {"update": name, "split": name, name: [name, "x" * 190 + f" {name}"]}
    return model_card(
        SimpleNamespace(
            module=torch.nn.Linear(1, 1),
            is_conditional=False,
            reads_frames=False,
            reads_text=False,
            config={"data": {}},
            update=1,
        ),
        {
            "limner": "1",
            "seed": name,
            "model": {"_target_": name},
            "data": {"name": name, "image_shape": [1, 8, 8], "num_classes": name},
        },
        address=name,
        scores={name: {"value": 1.0, "protocol": protocol}},
        license=name,
    )


@pytest.mark.parametrize(
    "name", [NAME, '")\n```\n# x\n![](http://a.b)', "\n---\nlicense: x", "| a |", "```", "~~~"]
)
def test_model_card_shows_names_as_they_are(name):
    text = card(name)
    assert not {c for c in text if unicodedata.category(c) in UNSAFE} - {"\n"}
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == printable(name)
    kinds = [kind for kind, _ in tokens(body) if kind not in ("code_inline", "text_special")]
    usual = card("(x)").split("---\n", 2)[2]
    assert set(kinds) == {k for k, _ in tokens(usual) if k not in ("code_inline", "text_special")}
    assert kinds.count("fence") == 2
    shown = "".join(text for _, text in tokens(body))
    assert shown.count(printable(name)) >= 6
    use = body.partition("```python\n")[2].partition("\n```")[0]
    assert eval(use.partition("load(")[2].rpartition(")")[0]) == name


@pytest.mark.parametrize("text", ["*a*", "a_b_c", "1. a", "# a", "www.a.b", "a|b", "<b>", "&lt;"])
def test_plain_and_code_show_a_text_as_it_is_in_a_table(text):
    for escaped in (plain(text), code(text)):
        found = tokens(f"| |\n|---|\n| {escaped} |")
        shown = [part for kind, part in found if kind in ("text", "code_inline", "text_special")]
        assert "".join(shown) == text


def test_fenced_cannot_be_closed_by_its_text():
    (token,) = MarkdownIt().parse(fenced("a\n```\n````\nb", "yaml"))
    assert (token.type, token.content) == ("fence", "a\n```\n````\nb\n")
