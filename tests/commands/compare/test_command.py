import contextlib
import csv
import json
import math
import statistics
from pathlib import Path

import pytest
from PIL import Image

from limner.commands.compare.command import run
from limner.commands.compare.groups import grouped
from limner.commands.compare.pictures import panels
from limner.commands.compare.runs import find
from limner.commands.compare.tables import summaries
from limner.errors import UserError
from limner.runs.lock import locked
from support.fake_runs import PROTOCOL, make_run

LR_4 = {"optimizer.lr": 1e-4, "model.optimizer.lr": 1e-4}
OF_TEST = {"reference": {**PROTOCOL["reference"], "split": "test"}}


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """Run `limner compare WORDS` in an empty folder and return its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words):
        assert run([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return command


def test_compare_shows_seeds_as_a_mean_and_a_deviation(compare, tmp_path):
    values = [10.0, 12.0, 17.0]
    for seed, fid in enumerate(values):
        make_run(tmp_path / "runs" / str(seed), seed=seed, fid=fid)
    out = compare("runs", "to=table.csv")
    (row,) = csv.DictReader(Path("table.csv").read_text().splitlines())
    assert float(row["mean"]) == pytest.approx(statistics.mean(values))
    assert float(row["std"]) == pytest.approx(statistics.stdev(values))
    assert (row["model"], row["score"], row["num_seeds"]) == ("vae", "val/fid", "3")
    assert "13.0 ± 3.6" in out
    assert "(3 seeds)" in out


def test_compare_shows_groups_side_by_side_with_the_best_first(compare, tmp_path):
    make_run(tmp_path / "a", fid=20.0)
    make_run(tmp_path / "b", "optimizer.lr=1e-4", values=LR_4, fid=10.0)
    head, _, _, row = compare("a", "b").splitlines()[:4]
    assert head.split() == ["optimizer.lr=0.0001", "optimizer.lr=0.001"]
    assert row.split() == ["val/fid", "10", "20"]


def test_compare_states_the_scores_of_real_images(compare, tmp_path):
    for name, floors in {"a": 7.25, "b": 7.25, "c": 8.0}.items():
        folder = make_run(tmp_path / name, fid=20.0, seed=ord(name))
        entries = json.loads((folder / "scores.json").read_text())
        entries["val/fid"]["floor"] = floors
        (folder / "scores.json").write_text(json.dumps(entries))
    assert "The same scores of real images: val/fid 7.25\n" in compare("a", "b")
    assert "val/fid 7.25 to 8\n" in compare("a", "b", "c")
    make_run(tmp_path / "none", fid=20.0)
    assert "real images" not in compare("none")


@pytest.mark.parametrize("columns", ["80", "40"])
def test_compare_shows_groups_one_below_the_other_when_they_are_many(
    compare, tmp_path, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    for index in range(12):
        lr = (index + 1) * 1e-4
        values = {"optimizer.lr": lr, "model.optimizer.lr": lr}
        make_run(tmp_path / "sweep" / f"{index}_optimizer.lr={lr}", values=values, fid=index + 0.5)
    lines = compare("sweep").splitlines()
    assert max(len(line) for line in lines) <= int(columns)
    assert [line.split()[-1] for line in lines if line.endswith(".5")] == [
        f"{index}.5" for index in range(12)
    ]


def test_compare_plots_a_sweep_against_the_swept_key(compare, tmp_path):
    for lr in (1e-4, 1e-3, 1e-2):
        for dim in (8, 16):
            values = {"optimizer.lr": lr, "model.optimizer.lr": lr, "model.latent_dim": dim}
            for seed in (0, 1):
                folder = tmp_path / "sweep" / f"{lr},{dim},{seed}"
                typed = (f"optimizer.lr={lr}", f"model.latent_dim={dim}")
                make_run(folder, *typed, values=values, seed=seed, fid=dim + lr + seed)
    (tmp_path / "sweep" / "multirun.yaml").touch()
    out = compare("sweep")
    assert "val/fid against model.latent_dim, optimizer.lr: sweep/scores.png" in out
    assert Image.open("sweep/scores.png").size[0] > 500
    runs = find(["sweep"])
    size, rate = panels(summaries(grouped(runs), runs), score="val/fid")
    assert (rate.key, size.key) == ("optimizer.lr", "model.latent_dim")
    assert rate.is_logarithmic
    assert not size.is_logarithmic
    assert size.centres() == [(8, pytest.approx(8.5037)), (16, pytest.approx(16.5037))]
    assert rate.stds == pytest.approx([statistics.stdev([0, 1])] * 6)


def test_compare_reads_a_folder_with_an_equals_sign_as_a_folder(compare, tmp_path):
    make_run(tmp_path / "seed=1", fid=1.0)
    make_run(tmp_path / "sweep" / "0_seed=1,model=vae", seed=1, fid=3.0)
    assert "2.0 ± 1.4" in compare("seed=1", "sweep/0_seed=1,model=vae")


def test_compare_expands_a_quoted_pattern_to_the_runs_that_match(compare, tmp_path):
    for seed, fid in ((1, 1.0), (2, 3.0)):
        make_run(tmp_path / f"run_{seed}", seed=seed, fid=fid)
    assert "2.0 ± 1.4" in compare("run_*")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (OF_TEST, "reference.split: train | test"),
        ({"weights": "raw"}, "weights: ema | raw"),
        ({"num_samples": 200}, "num_samples: 100 | 200"),
        ({"resize": "clean"}, "resize: not there | clean"),
    ],
)
def test_compare_does_not_mix_scores_of_different_protocols(tmp_path, changes, key):
    a = make_run(tmp_path / "a", fid=1.0)
    b = make_run(tmp_path / "b", "optimizer.lr=1e-4", values=LR_4, fid=2.0, protocol=changes)
    with pytest.raises(UserError) as error:
        run([str(a), str(b), "ignore=[]"])
    assert key in str(error.value)
    assert "optimizer.lr=0.0001" in str(error.value)
    assert "by_protocol=true" in str(error.value)


def test_compare_names_the_runs_once_for_all_keys_that_differ_alike(tmp_path):
    changes = {"weights": "raw", "num_samples": 200, "resize": "clean"}
    a = make_run(tmp_path / "a", fid=1.0)
    b = make_run(tmp_path / "b", "optimizer.lr=1e-4", values=LR_4, fid=2.0, protocol=changes)
    c = make_run(tmp_path / "c", "seed=1", seed=1, fid=2.0, protocol={"resize": "box"})
    for runs, per_key in (([a, b], 0), ([a, b, c], 1)):  # the third differs from both in resize
        with pytest.raises(UserError) as error:
            run([*map(str, runs), "ignore=[]"])
        text = str(error.value)
        assert all(f"  {key}: " in text for key in changes)
        assert text.count("optimizer.lr=0.0001") == 1 + per_key
        assert text.count("value 2: ") == 1 + per_key


def test_compare_shows_a_model_with_an_average_beside_a_model_without(compare, tmp_path):
    """The EMA is a choice of the run, not of the protocol; the table states it."""
    make_run(tmp_path / "run_a", fid=1.0)
    make_run(
        tmp_path / "run_b", "optimizer.lr=1e-4", values=LR_4, fid=2.0, protocol={"weights": "raw"}
    )
    assert "weights" in compare("run_*")


def test_compare_does_not_average_seeds_of_different_protocols(tmp_path):
    a = make_run(tmp_path / "a", seed=1, fid=1.0)
    b = make_run(tmp_path / "b", seed=2, fid=2.0, protocol=OF_TEST)
    with pytest.raises(UserError, match=r"reference\.split: train \| test"):
        run([str(a), str(b)])


def test_compare_makes_one_table_per_protocol_when_asked(compare, tmp_path):
    make_run(tmp_path / "a", seed=1, fid=1.0)
    make_run(tmp_path / "b", seed=2, fid=2.0, protocol=OF_TEST)
    make_run(tmp_path / "c", seed=3, fid=3.0)
    out = compare("a", "b", "c", "by_protocol=true", "to=table.csv")
    train, test = out.split("reference.split=test")
    assert train.startswith("reference.split=train")
    assert "2.0 ± 1.4" in train
    assert "±" not in test.partition("± is")[0]
    rows = list(csv.DictReader(Path("table.csv").read_text().splitlines()))
    assert [json.loads(row["protocol"])["reference.split"] for row in rows] == ["train", "test"]


def test_compare_reports_a_protocol_key_that_it_ignores(compare, tmp_path):
    make_run(tmp_path / "a", seed=1, fid=1.0)
    make_run(tmp_path / "b", seed=2, fid=3.0, protocol={"weights": "raw"})
    out = compare("a", "b", "ignore=[weights]")
    assert "2.0 ± 1.4" in out
    assert "These keys differ, but are ignored: weights" in out


def test_compare_lists_runs_that_have_no_place_in_the_table(compare, tmp_path):
    make_run(tmp_path / "runs" / "good", fid=1.0)
    make_run(tmp_path / "runs" / "no_scores")
    (make_run(tmp_path / "runs" / "training", seed=1, fid=9.0) / "final.png").unlink()
    (make_run(tmp_path / "runs" / "cut", seed=2, fid=9.0) / "scores.json").write_text('{"val/f')
    (tmp_path / "runs" / "crashed" / ".hydra").mkdir(parents=True)
    table, listed = compare("runs").split("Not in the table:")
    assert "(1 seed)" in table
    for line in (
        "runs/no_scores: no scores.json: it was not scored",
        "runs/training: unfinished: in training, stopped, or not scored",
        "runs/cut: scores.json is not whole",
        "runs/crashed: never began to train (no whole config.yaml)",
    ):
        assert line in listed


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"state": "failed", "update": 7, "error": "loss is nan"},
         "failed after update 7: loss is nan"),
        ({"state": "stopped", "update": 7}, "stopped after update 7"),
        ({"state": "running", "update": 7}, "was killed after update 7"),
        ({"state": "running", "update": 7, "locked": True},
         "is being trained, at update 7 or later"),
    ],
)  # fmt: skip
def test_compare_leaves_out_a_run_whose_status_is_unfinished(compare, tmp_path, status, reason):
    """This also holds if the folder has scores and pictures of an earlier end of training."""
    for index, name in enumerate(("a", "b", "odd")):
        make_run(tmp_path / name, seed=index, fid=1.0)
    (tmp_path / "odd" / "status.json").write_text(json.dumps(status))
    (tmp_path / "a" / "status.json").write_text('{"state": "finished", "update": 9}')
    with locked(tmp_path / "odd") if status.get("locked") else contextlib.nullcontext():
        table, listed = compare("a", "b", "odd").split("Not in the table:")
        page = compare("--blind", "a", "b", "odd")
    assert "(2 seeds)" in table
    assert f"odd: {reason}\n" in listed
    assert f"Left out: odd: {reason}\n" in page
    assert "between 2" in page


def test_compare_opens_no_lock_file_that_is_a_link(compare, tmp_path):
    for name in ("a", "odd"):
        make_run(tmp_path / name, fid=1.0)
    (tmp_path / "odd" / "status.json").write_text('{"state": "running"}')
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "odd" / ".lock").symlink_to(tmp_path / "outside")
    assert "odd: was killed after update 0" in compare("a", "odd")
    assert (tmp_path / "outside").read_text() == "mine"


def test_compare_reports_a_repeated_seed(compare, tmp_path):
    make_run(tmp_path / "a", fid=1.0)
    make_run(tmp_path / "b", fid=3.0)
    assert "Not counted: a has the same config and seed as b" in compare("a", "b")


def test_compare_states_how_many_seeds_have_a_score_when_some_lack_it(compare, tmp_path):
    for seed in range(3):
        folder = make_run(tmp_path / "runs" / str(seed), seed=seed, fid=float(seed))
        if seed < 2:
            entries = json.loads((folder / "scores.json").read_text())
            entries["val/kid"] = entries["val/fid"]
            (folder / "scores.json").write_text(json.dumps(entries))
    assert "0.50 ± 0.71 (2)" in compare("runs")


def test_compare_shows_a_score_that_is_not_a_number_as_it_is(compare, tmp_path):
    make_run(tmp_path / "a", seed=1, fid=math.nan)
    make_run(tmp_path / "b", seed=2, fid=1.0)
    assert "nan ± nan" in compare("a", "b")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "No run is named"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "empty: there is no run in this folder"),
        (["run/config.yaml"], "run/config.yaml: is a file"),
        (["run"], "None of these runs has scores yet.\n  run: no scores.json"),
        (["run", "by_protokol=true"], "did you mean by_protocol?"),
        (["run", "to=table.txt"], "to=table.txt: the table is written as CSV"),
        (["--blond", "run"], "--blond: there is no such flag"),
        (["--blind", "run"], "A blind choice is among 2 to 9 runs or groups: got 1"),
        (["--blind", "run", "to=x.csv"], "to=x.csv: the page is HTML"),
    ],
)
def test_compare_names_mistakes(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "run")
    with pytest.raises(UserError) as error:
        run(words)
    assert message in str(error.value)


def test_compare_fails_when_the_table_cannot_be_written(tmp_path):
    folder = make_run(tmp_path / "a", fid=1.0)
    with pytest.raises(UserError, match=r"nowhere/x\.csv: cannot be written"):
        run([str(folder), f"to={tmp_path}/nowhere/x.csv"])


def restored(folder, psnr, *, width, blur="sigma 1 (best of 0.5, 1)", **protocol):
    """Write a run of a model that changes pictures, with the scores of two baselines."""
    made = make_run(folder, values={
        "network.width": width, "metrics.objective": {"name": "val/psnr", "mode": "max"},
        "metrics._target_": "limner.callbacks.pair_scores.PairScores",
    })  # fmt: skip
    how = {
        "num_pictures": 5,
        "colour": "rgb",
        "border": 0,
        "baselines": {"blur": blur},
        **protocol,
    }
    entries = {
        "val/psnr": {"value": psnr, "protocol": how, "baselines": {"input": 20.25, "blur": 24.5}}
    }
    (made / "scores.json").write_text(json.dumps(entries))
    return made


def test_compare_shows_the_baselines_below_the_runs(compare, tmp_path):
    restored(tmp_path / "a", 28.5, width=8)
    restored(tmp_path / "b", 29.5, width=16)
    out = compare("a", "b")  # so few columns stand side by side
    assert ["val/psnr", "29.5", "28.5", "20.25", "24.5"] in map(str.split, out.splitlines())
    assert "baseline:" in out
    for width in (9, 10, 11):
        restored(tmp_path / str(width), 20 + width, width=width)
    lines = [line.split() for line in compare("a", "b", "9", "10", "11").splitlines()]
    assert ["baseline:", "input", "20.25"] in lines
    assert [line[-1] for line in lines if len(line) > 1][-2:] == ["20.25", "24.5"]
    alone = compare("a")
    assert "baseline" in alone
    assert "24.5" in alone


def test_compare_separates_pictures_of_other_colours_but_not_of_other_baselines(compare, tmp_path):
    runs = restored(tmp_path / "a", 28.5, width=8), restored(tmp_path / "b", 29, width=9, blur="")
    compare(*runs)
    other = restored(tmp_path / "c", 30.1, width=10, colour="y of BT.601")
    with pytest.raises(UserError, match="colour: rgb"):
        compare(*runs, other)


def test_compare_takes_a_run_without_a_last_picture_if_it_has_scores_of_pictures(
    compare, tmp_path
):
    made = restored(tmp_path / "a", 28.5, width=8)
    (made / "final.png").unlink()
    assert "28.5" in compare("a")
