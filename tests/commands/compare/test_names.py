"""Names with terminal sequences or markup, in every output of `limner compare`."""

import base64
import csv
import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest

from limner.commands.compare.blind import page
from limner.commands.compare.command import run
from limner.errors import UserError
from limner.files.printable import UNSAFE
from support.blind_page import GREY, NEEDS_BROWSER, look, plain
from support.fake_runs import PROTOCOL, make_run

NAME = "[red]a[/red]\x1b[31m\r\nFAKE:\u202e$\\nope{$'\"<script>alert(1)</script>{{data}}"


def assert_harmless(said):
    assert not {c for c in said if unicodedata.category(c) in UNSAFE} - {"\n"}
    assert "FAKE" in said
    assert not any(line.strip().startswith("FAKE") for line in said.splitlines())
    assert "[red]a[" in said


def hostile_runs(root):
    """Make two runs whose every name and value is hostile, and one run without scores."""
    folders = []
    for index in range(2):
        values = {
            "optimizer.lr": f"{index}{NAME}",
            NAME.replace(".", ""): index,
            "metrics.objective": {"name": NAME, "mode": NAME},
        }
        folder = root / f"{index}{NAME.replace('/', '')}"
        make_run(folder, "optimizer.lr=1", values=values)
        entry = {"value": float(index), "protocol": {**PROTOCOL, NAME: NAME}}
        (folder / "scores.json").write_text(json.dumps({NAME: entry}))
        folders.append(folder)
    make_run(root / f"2{NAME.replace('/', '')}")
    return folders


def test_compare_shows_names_as_they_are_in_table_picture_and_csv(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    hostile_runs(tmp_path / "runs")
    assert run(["runs", "to=all.csv", "picture=scores.png"]) == 0
    table, _, listed = capsys.readouterr().out.partition("Not in the table:\n")
    assert_harmless(table)
    assert_harmless(listed)
    assert Path("scores.png").stat().st_size > 0
    text = Path("all.csv").read_text()
    assert_harmless(text)
    assert len(list(csv.reader(text.splitlines()))) == 3


def test_compare_shows_names_as_they_are_when_it_refuses(tmp_path):
    first, second = hostile_runs(tmp_path)
    entry = {"value": 1.0, "protocol": {**PROTOCOL, NAME: "other"}}
    (second / "scores.json").write_text(json.dumps({NAME: entry}))
    with pytest.raises(UserError) as error:
        run([str(first), str(second)])
    assert_harmless(str(error.value))


class Tags(HTMLParser):
    """A parser that keeps a page's tags with their attributes, and the texts of its scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [pair for pair in attrs if pair[0] != "content"]))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


def sides(*names):
    return {name: plain(GREY, 1) for name in names}


def test_blind_page_has_the_same_tags_for_any_names():
    hostile = Tags(page(sides(NAME, "b"), num_trials=1, num_images=1, seed=0))
    usual = Tags(page(sides("a", "b"), num_trials=1, num_images=1, seed=0))
    assert hostile.tags == usual.tags
    place = next(i for i, (_, pairs) in enumerate(hostile.tags) if ("id", "data") in pairs)
    data = json.loads(hostile.texts[place])
    assert hostile.texts[:place] + hostile.texts[place + 1 :] == (
        usual.texts[:place] + usual.texts[place + 1 :]
    )
    assert_harmless(" ".join(json.loads(base64.b64decode(data["key"]))["names"]))


@NEEDS_BROWSER
def test_blind_page_shows_a_name_as_it_is(chromium):
    opened, folder = chromium
    html = page(sides(NAME, "b"), num_trials=1, num_images=1, seed=0)
    (folder / "names.html").write_text(html, encoding="utf-8")
    opened.open(folder / "names.html")
    look()
    opened.press("1")
    assert_harmless(opened.text("#counts").replace("\t", " "))  # between the cells
    assert opened.run("return document.querySelectorAll('script').length") == 2
