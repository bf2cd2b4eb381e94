"""`resume=FOLDER` with an untrusted folder: nothing in it is executed, read or opened."""

import os
from functools import partial
from pathlib import Path

import pytest

from limner.errors import UserError
from limner.resume.saved_config import read_overrides
from limner.resume.start import decide_start
from support.hostile import SECRET, edit, rewrite, run_folder
from support.runs import content, pretended

SAVED = ".hydra/config.yaml"
slow = partial(pytest.param, marks=pytest.mark.slow)
JUDGED = "has no whole checkpoint to resume from"
"""The reason for which a folder is refused in these tests once its config is harmless."""

WORDS = [
    "+hydra.callbacks.x={_target_: trap.Part}",
    "++hydra.callbacks.x._target_=trap.Part",
    "hydra.job_logging={version: 1, handlers: {x: {'()': trap.function}}, root: {handlers: [x]}}",
    "+hydra.job.env_set.EVIL=1",
    "hydra.searchpath=[file://evil]",
    "hydra.output_subdir=evil",
    "hydra/launcher=slurm",
    "+hydra/job_logging=none",
    "+data@hydra.callbacks=digits",
    "+data@_global_.hydra.callbacks=digits",
    "hydra={}",
    "--config-dir=evil",
    "-cd",
    "+model.x=${oc.env:AWS_SECRET}",
    "+model.x='${oc.env:AWS_SECRET}'",
    "+model.x={a: ['${oc.env:AWS_SECRET}']}",
    "+model.x={'${oc.env:AWS_SECRET}': 1}",
    "+model.x=${${model.y}}",
    "+model.x=${oc.decode:${model.y}}",
    "+model.x=${hydra:runtime.cwd}",
    "+model.x=\\${oc.env:AWS_SECRET}",
    "+experiment=../../evil/experiment/evil",
    "+experiment=/evil/experiment/evil",
    "experiment=[../evil]",
    "data={_target_: os.system}",
    "trust=[trap]",
    "seed=1,2",
    "seed=range(1,3)",
    "two words",
    "",
    3,
    None,
    {"seed": 3},
]


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_saved_override_is_plain_data_or_is_left_out(tmp_path, word):
    folder = pretended(tmp_path / "run", "seed=3")
    rewrite(folder, ["seed=3", word, "model.latent_dim=7"])
    start = decide_start([f"resume={folder}"])
    assert start.arguments[:2] == ["seed=3", "model.latent_dim=7"]
    assert all(argument.startswith(("resume=", "hydra.")) for argument in start.arguments[2:])
    assert len(start.arguments) == 5
    assert start.note.startswith("Left out, because a run folder may not set it: ")
    assert len(start.note.splitlines()) <= 1


@pytest.mark.parametrize(
    "word",
    ["model=gan", "seed=3", "+callbacks.a={b: 1}", "~callbacks.codes", "logger=[csv,wandb]",
     "network=mlp", "data.path='../my photos'", "+model.x=${data.image_shape}",
     "experiment=null", "trainer.max_steps='${limner.times:2,${model.latent_dim}}'"],
)  # fmt: skip
def test_saved_overrides_of_plain_values_are_replayed(tmp_path, word):
    folder = pretended(tmp_path / "run")
    rewrite(folder, [word])
    assert read_overrides(folder) == ([word], [])


def test_hydra_executes_none_of_the_saved_overrides(run, tmp_path):
    folder = run_folder(tmp_path / "run")
    (tmp_path / "evil" / "experiment").mkdir(parents=True)
    (tmp_path / "evil" / "experiment" / "evil.yaml").write_text("seed: 666\n")
    rewrite(folder, [*WORDS[:21], "seed=0"])
    result = run("resume=run")
    assert JUDGED in result.err
    assert SECRET not in result.out + result.err


def test_record_of_hydra_chooses_no_config_files(run, tmp_path):
    folder = run_folder(tmp_path / "run")
    (tmp_path / "evil" / "experiment").mkdir(parents=True)
    text = "# @package _global_\ncallbacks: {x: {_target_: trap.Part}}\n"
    (tmp_path / "evil" / "experiment" / "evil.yaml").write_text(text)
    source = {"provider": "command-line", "path": str(tmp_path / "evil"), "schema": "file"}
    edit(folder / ".hydra" / "hydra.yaml", "hydra.runtime.config_sources", [source])
    rewrite(folder, ["experiment=evil"])
    result = run("resume=run")
    assert result.code == 1
    assert "experiment=evil: there is no such option" in result.err
    assert "--config-dir DIR" in result.err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.source", {"_target_": "torch.load", "f": "x", "weights_only": False}),
        ("callbacks.x", {"_target_": "os.system", "command": "true"}),
        ("network.encoder._target_", "trap.Part"),
        slow("data.source", {"_target_": "torch.hub.load_state_dict_from_url", "url": "http://x"}),
        slow("callbacks.x", {"_target_": "trap.Part"}),
        slow("logger.x", {"_target_": "functools.partial", "func": "x"}),
        slow("model._target_", "trap.Part"),
        slow("optimizer._target_", "trap.Part"),
        slow("trainer.profiler", {"_target_": "trap.Part"}),
        slow("metrics", {"_target_": "limner.callbacks.scores.Scores",
                         "features": {"_target_": "trap.Part"}, "objective": None}),
        slow("lr_schedule", {"_target_": "builtins.eval"}),
    ],
)  # fmt: skip
def test_saved_class_is_refused_unless_it_belongs_to_limner(run, tmp_path, key, value):
    folder = run_folder(tmp_path / "run")
    edit(folder / SAVED, key, value)
    before = content(folder)
    result = run("resume=run")
    assert result.code == 1
    assert "names classes that are not limner's" in result.err
    assert content(folder) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.name", "${oc.env:AWS_SECRET}"),
        slow("data.name", "\\${oc.env:AWS_SECRET}"),
        slow("data.name", "${oc.decode:'${oc.env:AWS_SECRET}'}"),
        slow("data.name", "${limner.file_name:${oc.env:AWS_SECRET}}"),
        ("data.name", "${${seed}}"),
        slow("data.name", "${hydra:runtime.cwd}"),
        slow("callbacks.x", {"list": [{"deep": "${oc.env:AWS_SECRET}"}]}),
        ("callbacks.x", {"${oc.env:AWS_SECRET}": 1}),
        ("data.root", "${oc.env:AWS_SECRET}"),  # the root of a data set without a root
    ],
)
def test_saved_value_reads_only_other_keys(run, tmp_path, key, value):
    folder = run_folder(tmp_path / "run")
    edit(folder / SAVED, key, value)
    for words in (["resume=run"], ["resume=auto", "hydra.run.dir=run"]):
        result = run(*words)
        assert result.code == 1
        assert "is refused: a run folder may read other keys by ${a.b}" in result.err
        assert SECRET not in result.out + result.err
        assert len(result.err.splitlines()) == 1


def test_reference_to_the_environment_cannot_be_assembled_from_parts(run, tmp_path):
    folder = run_folder(tmp_path / "run")
    edit(folder / SAVED, "data.augmentation", "$")
    edit(folder / SAVED, "data.name", "${data.augmentation}{oc.env:AWS_SECRET}")
    result = run("resume=run")
    assert "is refused: a run folder may not read this value" in result.err
    assert SECRET not in result.out + result.err


def test_place_of_the_data_comes_from_the_present_environment(run, tmp_path, monkeypatch):
    folder = run_folder(tmp_path / "run", "data=mnist")
    edit(folder / SAVED, "data.root", "${oc.env:AWS_SECRET}")
    monkeypatch.setenv("LIMNER_DATA", "/here")
    result = run("resume=run")
    assert JUDGED in result.err
    assert SECRET not in result.out + result.err


def test_place_of_the_images_is_reported(run, tmp_path):
    folder = run_folder(tmp_path / "run", "data=image_folder", "data.path=photos")
    said = "Images are read from photos, as set in the run folder. To read others: data.path=..."
    assert run("resume=run").out.count(said) == 1
    assert "Images are read from" not in run("resume=run", "data.path=photos").out
    edit(folder / SAVED, "logger.csv.folder", str(tmp_path / "elsewhere"))
    assert "elsewhere is refused: it is not the run's folder" in run("resume=run").err


def test_references_that_grow_to_gigabytes_or_are_circular_are_refused(run, tmp_path):
    folder = run_folder(tmp_path / "run")
    before = (folder / SAVED).read_text()
    bomb = {f"b{i}": [f"${{callbacks.x.b{i + 1}}}"] * 10 for i in range(12)}
    edit(folder / SAVED, "callbacks.x", bomb | {"b12": "boom"})
    assert "its references expand to too many values" in run("resume=run").err
    (folder / SAVED).write_text(before)
    edit(folder / SAVED, "callbacks.x", {"a": "${callbacks.x.b}", "b": "${callbacks.x.a}"})
    assert "reads itself" in run("resume=run").err
    (folder / SAVED).write_text("a: &a [1]\nb: [*a]\n")
    assert "anchors and aliases are not read" in run("resume=run").err
    (folder / SAVED).write_text("a: !!python/object/apply:os.system [true]\n")
    assert "is not plain YAML" in run("resume=run").err


def test_user_classes_are_trusted_only_by_the_command_line(run, tmp_path, trap):
    mine = "+callbacks.mine={_target_: trap.Part}"
    config = pretended(tmp_path / "plain")  # Composing imports nothing.
    edit(config / SAVED, "callbacks.mine", {"_target_": "trap.Part"})
    edit(config / SAVED, "trust", ["trap"])
    result = run("resume=plain")
    assert "callbacks.mine=trap.Part" in result.err
    assert "trust=[trap]" in result.err
    assert not trap.exists(), "the class was imported"
    (trap.parent / "is_trusted").touch()
    assert JUDGED in run("resume=plain", "trust=[trap]").err
    assert JUDGED in run("resume=plain", mine).err, "the command names the class"


def test_auto_accepts_user_classes_that_the_command_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["+callbacks.mine={_target_: trap.Part}", "+data.note=${oc.env:AWS_SECRET}"]
    folder = pretended(Path("outputs/vae_digits/mine"), *words)
    start = decide_start(["resume=auto", *words])
    assert start.folder == folder.resolve()
    assert start.complete
    child = decide_start(start.words)  # DDP starts a further process in this way.
    assert child.folder == folder.resolve()
    assert "+data.note=${oc.env:AWS_SECRET}" in child.arguments, "a typed value was dropped"


def test_auto_skips_an_untrusted_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = pretended(Path("outputs/vae_digits/evil"))
    edit(folder / SAVED, "data.path", "${oc.env:AWS_SECRET}")
    assert decide_start(["resume=auto"]).folder is None


@pytest.mark.parametrize("name", ["train.log", "metrics.csv", "checkpoints/x.ckpt", ".hydra/a"])
def test_link_out_of_the_folder_is_refused(tmp_path, name):
    folder = pretended(tmp_path / "run")
    (tmp_path / ".bashrc").touch()
    (folder / name).symlink_to(tmp_path / ".bashrc")
    with pytest.raises(UserError, match="a link that leads out of the folder"):
        decide_start([f"resume={folder}"])
    (folder / name).unlink()
    (folder / name).symlink_to(folder / "status.json")
    assert decide_start([f"resume={folder}"]).folder == folder


@pytest.mark.parametrize("text", [None, "[", "a: 1", "!!python/object:os.x []"])
def test_run_without_its_overrides_is_refused_in_one_message(run, tmp_path, text):
    folder = pretended(tmp_path / "run")
    path = folder / ".hydra" / "overrides.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    result = run("resume=run")
    assert result.code == 1
    assert "overrides.yaml" in result.err
    assert len(result.err.splitlines()) == 1


def test_pipe_in_place_of_a_record_does_not_block(run, tmp_path):
    folder = pretended(tmp_path / "run")
    (folder / ".hydra" / "overrides.yaml").unlink()
    os.mkfifo(folder / ".hydra" / "overrides.yaml")
    assert "is no regular file" in run("resume=run").err
