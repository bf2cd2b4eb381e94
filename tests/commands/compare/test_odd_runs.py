"""`limner compare` of damaged and hostile run folders."""

import json
import math
import os
import random
import re
import struct
import zlib
from pathlib import Path

import pytest
import yaml

from limner.commands.compare.command import run
from limner.errors import UserError
from support.fake_runs import PROTOCOL, make_run

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


def png_of(width, height):
    """Return a PNG that claims a size and holds no pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def entry(value, protocol=PROTOCOL):
    return json.dumps({"val/fid": {"value": value, "protocol": protocol}})


ODD = [
    ("config.yaml", BOMB, "config.yaml is not plain YAML: anchors and aliases"),
    ("config.yaml", "[" * 3000, "config.yaml is not plain YAML"),
    ("config.yaml", "seed: 1\nmodel: x\n", "config.yaml: model is no mapping"),
    ("config.yaml", "seed: 1\ndata: [1]\n", "config.yaml: data is no mapping"),
    ("config.yaml", "seed: 1\nrun_dir: 5\n", "config.yaml: run_dir is no text"),
    ("config.yaml", "seed: ${oc.env:HOME}", "an interpolation could read secrets"),
    ("config.yaml", "seed: 1" + ":1" * 50_000, "a number of 100,001 characters"),
    ("config.yaml", "a: !!bool x", "config.yaml is not plain YAML"),
    ("config.yaml", "".join(f"k{i}: 1\n" for i in range(6000)), "more than 5,000 values"),
    ("config.yaml", "#" * 300_000, "config.yaml is too large"),
    ("config.yaml", "5", "a config is a mapping"),
    ("config.yaml", None, "config.yaml is no regular file"),
    (".hydra/hydra.yaml", "hydra: 5", ".hydra/hydra.yaml: hydra is no mapping"),
    (".hydra/hydra.yaml", "hydra: {runtime: []}", "runtime is no mapping"),
    (".hydra/hydra.yaml", "hydra: {runtime: {choices: [1, 2]}}", "choices is no mapping"),
    (".hydra/hydra.yaml", "hydra: {overrides: {task: [1]}}", "task is no list of words"),
    (".hydra/hydra.yaml", BOMB, ".hydra/hydra.yaml: is not plain YAML"),
    ("scores.json", "[" * 100_000, "scores.json is not whole: is not plain JSON"),
    ("scores.json", entry(int("9" * 400)), "the value of val/fid is too large a number"),
    ("scores.json", entry("1.0"), "the value of val/fid is no number"),
    ("scores.json", entry(True), "the value of val/fid is no number"),
    ("scores.json", entry(None), "the value of val/fid is no number"),
    ("scores.json", entry([1]), "the value of val/fid is no number"),
    ("scores.json", entry(1.0, [1]), "val/fid is no score with its protocol"),
    ("scores.json", entry(1.0, None), "val/fid is no score with its protocol"),
    ("scores.json", "[1]", "it is no mapping of names to scores"),
    ("scores.json", None, "is no regular file"),
]


def write(path, content):
    path.unlink(missing_ok=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Return an empty folder with two sound runs in it: runs/a and runs/b."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    make_run(Path("runs/a"), fid=1.0)
    make_run(Path("runs/b"), seed=1, fid=3.0)
    return tmp_path


@pytest.mark.parametrize(("file", "content", "reason"), ODD)
def test_compare_leaves_a_run_out_by_one_line_when_a_file_is_odd(
    two, capsys, file, content, reason
):
    write(make_run(Path("runs/odd"), seed=2, fid=9.0) / file, content)
    assert run(["runs"]) == 0
    table, _, listed = capsys.readouterr().out.partition("Not in the table:\n")
    assert "2.0 ± 1.4" in table
    (line,) = listed.splitlines()
    assert line.startswith("  runs/odd: ")
    assert reason in line


@pytest.mark.parametrize("file", ["config.yaml", ".hydra/hydra.yaml", "scores.json"])
@pytest.mark.parametrize("target", ["outside", "itself"])
def test_compare_follows_no_link_out_of_a_run(two, capsys, file, target):
    Path("outside").write_text("seed: 1\nsecret: 2\n")
    path = make_run(Path("runs/odd"), seed=2, fid=9.0) / file
    path.unlink()
    path.symlink_to(Path("outside").resolve() if target == "outside" else path.absolute())
    assert run(["runs"]) == 0
    (line,) = capsys.readouterr().out.partition("Not in the table:\n")[2].splitlines()
    assert line.startswith("  runs/odd: ")
    assert ("leads out of the folder" if target == "outside" else "cannot be read") in line


def test_compare_blind_follows_no_link_out_of_a_run(two, capsys):
    path = make_run(Path("runs/odd"), seed=2) / "final.png"
    path.rename("outside.png")
    path.symlink_to(Path("outside.png").resolve())
    assert run(["--blind", "runs"]) == 0
    assert "runs/odd: final.png is refused because it leads out" in capsys.readouterr().out


def test_compare_names_every_run_when_all_are_odd(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(make_run(Path("runs/a"), fid=1.0) / "config.yaml", "seed: 1\nmodel: x\n")
    write(make_run(Path("runs/b"), fid=1.0) / "scores.json", "[" * 100_000)
    with pytest.raises(UserError) as error:
        run(["runs"])
    head, a, b = str(error.value).splitlines()
    assert head == "None of these runs has scores yet."
    assert a.startswith("  runs/a: config.yaml: model is no mapping")
    assert b.startswith("  runs/b: scores.json is not whole")


@pytest.mark.parametrize(
    ("values", "picture", "reason"),
    [
        ({"data.image_shape": [1, 0, 0]}, "own", "data.image_shape is [1,0,0], not"),
        ({"data.image_shape": [1]}, "own", "data.image_shape is [1], not"),
        ({"data.image_shape": [1, 10**30, 8]}, "own", "data.image_shape is [1,1000"),
        ({"data.image_shape": [1, 8.5, 8]}, "own", "data.image_shape is [1,8.5,8]"),
        ({"data.image_shape": "x"}, "own", "data.image_shape is x"),
        ({"data.image_shape": [1, 99_999, 99_999]}, "own", "no grid of pictures of 99999x99999"),
        ({"callbacks.pictures.num_images": "x"}, "own", "num_images is x, not a number above 0"),
        ({"callbacks.pictures.num_images": -3}, "own", "num_images is -3, not a number above 0"),
        ({"model": 5}, "own", "config.yaml: model is no mapping"),
        ({}, png_of(65_500, 65_500), "final.png is too large"),
        ({}, png_of(12_000, 12_000), "final.png is too large (12000x12000 pixels)"),
        ({}, png_of(134, 134), "final.png cannot be read"),
        ({}, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read (no PNG)"),
        ({}, None, "final.png is no regular file"),
    ],
)
def test_compare_blind_leaves_a_run_out_by_one_line_when_its_picture_is_odd(
    two, capsys, values, picture, reason
):
    flat = {"data.seed": 2, **values}
    if "model" in flat:
        folder = make_run(Path("runs/odd"), seed=2)
        write(folder / "config.yaml", yaml.safe_dump(flat))
    else:
        folder = make_run(Path("runs/odd"), seed=2, values=flat)
    if picture != "own":
        (folder / "final.png").unlink()
        os.mkfifo(folder / "final.png") if picture is None else (folder / "final.png").write_bytes(
            picture
        )
    assert run(["--blind", "runs", "to=page.html"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head == "4 choices between 2: open page.html in a browser."
    assert line.startswith("Left out: runs/odd: ")
    assert reason in line


def test_compare_blind_counts_only_runs_that_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/a"))
    write(make_run(Path("runs/b"), seed=1) / "final.png", "%!PS")
    with pytest.raises(UserError, match="got 1") as error:
        run(["--blind", "runs"])
    assert "Left out: runs/b: final.png cannot be read (no PNG)" in str(error.value)


@pytest.mark.parametrize("mean", [1e308, -1e308, math.inf, math.nan, 5e-324, 0.0])
def test_compare_shows_scores_of_any_size(two, capsys, mean):
    make_run(Path("runs/c"), seed=2, fid=mean)
    make_run(Path("runs/d"), "optimizer.lr=9", seed=2, fid=mean, values={"optimizer.lr": 9})
    assert run(["runs", "picture=scores.png"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_compare_names_a_group_by_no_more_than_fits(two, capsys):
    long = {"x" * 9000: "y" * 9000, **{f"model.k{i}": i for i in range(500)}}
    make_run(Path("runs/c"), *(f"{key}=1" for key in long), seed=2, fid=3.0, values=long)
    assert run(["runs", "to=all.csv"]) == 0
    assert len(capsys.readouterr().out) < 30_000
    assert "y" * 9000 in Path("all.csv").read_text()


def test_compare_sorts_folders_whose_names_hold_digits_of_all_scripts(two):
    make_run(Path("runs/²"), seed=2, fid=1.0)
    assert run(["runs"]) == 0


ANYTHING = (
    None, True, 0, -1, math.nan, math.inf, 1e308, 5e-324, 10**300, "", "x", "$a$", "a\nb", "²",
    "\x1b[31m", [], {}, [1], [1, 0, 0], {"a": 1}, {"b": {"c": [{"d": 1}]}}, "inf", "9" * 50, "min",
)  # fmt: skip


def changed(tree, random):
    """Change one node of plain data, drawn at random: its value, its name, or its presence."""
    nodes = [(tree, key) for key in tree]
    for node, key in nodes:
        inner = node[key]
        nodes += [(inner, key) for key in inner] if isinstance(inner, dict) else []
    if not nodes:
        return
    node, key = random.choice(nodes)
    value = node.pop(key)
    kind = random.randrange(3)
    if kind < 2:
        node[str(random.choice(ANYTHING)) if kind else key] = (
            value if kind else random.choice(ANYTHING)
        )


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 25))]
)
def test_compare_fails_only_with_a_message(two, capsys, seed):
    draw = random.Random(seed)
    for name, load, dump in (
        ("config.yaml", yaml.safe_load, yaml.safe_dump),
        (".hydra/hydra.yaml", yaml.safe_load, yaml.safe_dump),
        ("scores.json", json.loads, json.dumps),
    ):
        for path in Path("runs").glob(f"*/{name}"):
            tree = load(path.read_text())
            for _ in range(draw.randrange(4)):
                changed(tree, draw)
            path.write_text(dump(tree))
    make_run(Path("runs/sound"), seed=5, fid=2.0, values={"data.image_shape": [1, 8, 8]})
    for words in (["by_protocol=true", "to=all.csv"], [], ["--blind"]):
        said = ""
        try:
            run(["runs", *words])
        except UserError as error:
            said = str(error)
        said += capsys.readouterr().out
        assert said
        assert not re.search(r"[^\S\n ]|\x1b", said)
