"""`limner evaluate`, sample, export and load with an untrusted folder."""

import json
import logging

import pytest
import yaml

from limner.commands.evaluate.command import run as evaluate
from limner.commands.evaluate.of_runs import of_run
from limner.commands.export import run as export
from limner.commands.sample import run as sample
from limner.errors import UserError
from support.hostile import SECRET, edit, run_folder

CONFIG = "config.yaml"
COMMANDS = {
    "evaluate": lambda folder, *words: evaluate([f"run={folder}", *words]),
    "export": lambda folder, *words: export([f"run={folder}", f"to={folder}_exported", *words]),
    "sample": lambda folder, *words: sample([f"run={folder}", *words]),
}


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "run", "metrics=classifier")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.source", {"_target_": "torch.hub.load_state_dict_from_url", "url": "http://x"}),
        ("data.source", {"_target_": "torch.load", "f": "x", "weights_only": False}),
        ("data.source", {"_target_": "torch.serialization.load", "f": "x"}),
        ("data.source._target_", "os.system"),
        ("data.augmentation", {"_target_": "trap.Part"}),
        ("data._target_", "trap.Part"),
        ("data._args_", [1]),
        ("metrics.features", {"_target_": "trap.Part"}),
        ("metrics._target_", "builtins.eval"),
        ("metrics.features.network", {"_target_": "functools.partial"}),
    ],
)
def test_evaluate_builds_only_classes_of_limner(folder, key, value):
    edit(folder / CONFIG, key, value)
    with pytest.raises(UserError, match="names classes that are not limner's"):
        evaluate([f"run={folder}"])
    assert not (folder / "evaluation.json").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", ["data.name", "model.latent_dim", "metrics.objective.name"])
def test_no_command_reads_the_environment(folder, command, key, capfd):
    edit(folder / CONFIG, key, "${oc.env:AWS_SECRET}")
    edit(folder / ".hydra/config.yaml", key, "${oc.env:AWS_SECRET}")
    with pytest.raises(UserError, match="is refused: an interpolation could read secrets"):
        COMMANDS[command](folder)
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.parametrize("command", ["export", "sample"])
def test_models_are_built_only_from_classes_of_limner(folder, command):
    edit(folder / CONFIG, "model.encoder", {"_target_": "trap.Part"})
    with pytest.raises(UserError, match=r"model\.encoder=trap\.Part.*trust=\[trap\]"):
        COMMANDS[command](folder)


def test_evaluate_does_not_read_the_records_of_hydra(folder):
    (folder / ".hydra" / "config.yaml").write_text("a: !!python/object/apply:os.system ['x']")
    # The error is about the checkpoint, which is empty here.
    with pytest.raises(UserError, match="whole"):
        evaluate([f"run={folder}", "metrics.num_samples=60", "metrics.batch_size=30"])


def test_user_classes_are_built_when_they_are_trusted(folder, trap):
    edit(folder / CONFIG, "data.augmentation", {"_target_": "trap.Part"})
    with pytest.raises(UserError, match=r"trust=\[trap\]"):
        evaluate([f"run={folder}"])
    assert not trap.exists()
    (trap.parent / "is_trusted").touch()
    with pytest.raises(UserError, match=r"trap\.Part has no method __call__"):
        evaluate([f"run={folder}", "trust=[trap]", "metrics.num_samples=60"])


@pytest.mark.parametrize("command", COMMANDS)
def test_trusted_module_that_python_does_not_find_is_named(folder, command):
    edit(folder / CONFIG, "model.encoder", {"_target_": "own_nets.Encoder"})
    with pytest.raises(UserError, match=r"trust=\[own_nets\]"):
        COMMANDS[command](folder)
    with pytest.raises(UserError, match=r"finds no module own_nets.*\n.*--config-dir FOLDER"):
        COMMANDS[command](folder, "trust=[own_nets]")


def test_evaluate_names_the_classes_of_model_and_data_in_one_message(folder):
    edit(folder / CONFIG, "model.encoder", {"_target_": "own_nets.Encoder"})
    edit(folder / CONFIG, "data.source", {"_target_": "own_data.Source"})
    with pytest.raises(
        UserError, match=r"own_data\.Source.*own_nets.*trust=\[own_data,own_nets\]"
    ):
        evaluate([f"run={folder}"])


@pytest.mark.parametrize("command", COMMANDS)
def test_link_out_of_the_folder_is_refused(folder, command, tmp_path):
    (folder / "scores.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(UserError, match="a link that leads out of the folder"):
        COMMANDS[command](folder)


@pytest.mark.parametrize("key", ["data", "metrics", "trainer", "data.source"])
@pytest.mark.parametrize("value", [None, 5, [1], "x", {}])
def test_config_of_another_form_is_refused_in_one_message(folder, key, value):
    edit(folder / CONFIG, key, value)
    words = [f"run={folder}", "metrics.num_samples=60", "metrics.batch_size=30"]
    with pytest.raises(UserError) as error:
        evaluate(words)
    assert len(str(error.value).splitlines()) <= 2


def test_exported_model_is_distinguished_from_a_run(folder):
    edit(folder / CONFIG, "weights", "model.safetensors")
    with pytest.raises(UserError, match="an exported model has no data set"):
        evaluate([f"run={folder}"])


def test_place_of_the_images_is_reported_and_can_be_chosen(
    composed, tmp_path, caplog, monkeypatch
):
    folder = run_folder(tmp_path / "run", "data=image_folder", "data.path=theirs")
    config = composed()
    more = {"has_metrics": True, "trust": []}
    with caplog.at_level(logging.INFO):
        assert _of_run(folder, config, [], **more).data.source.path == "theirs"
    assert "data.path=theirs" in caplog.text
    caplog.clear()
    mine = _of_run(folder, config, ["data.path=mine"], **more)
    assert mine.data.source.path == "mine"
    assert not caplog.text


def test_recorded_data_root_is_used_if_the_files_are_there(composed, tmp_path, monkeypatch):
    folder = run_folder(tmp_path / "run", "data=mnist", f"data.root={tmp_path}/theirs")
    monkeypatch.setenv("LIMNER_DATA", "/here")
    more = {"has_metrics": True, "trust": []}
    assert _of_run(folder, composed(), [], **more).data.source.root == "/here"
    raw = tmp_path / "theirs" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").touch()
    there = _of_run(folder, composed(), [], **more).data.source.root
    assert there == f"{tmp_path}/theirs"
    for pattern in ("../*", "/etc/*"):
        edit(folder / CONFIG, "data.source.files", pattern)
        assert _of_run(folder, composed(), [], **more).data.source.root == "/here"


def test_place_of_the_digits_of_sequences_and_their_number_of_frames_can_be_chosen(
    composed, tmp_path, monkeypatch
):
    folder = run_folder(tmp_path / "run", "data=moving_mnist", f"data.root={tmp_path}/theirs")
    monkeypatch.setenv("LIMNER_DATA", "/here")
    more = {"has_metrics": True, "trust": []}
    assert _of_run(folder, composed(), [], **more).data.source.digits.root == "/here"
    words = ["data.root=mine", "data.test_file=t.npy", "data.num_targets=20"]
    mine = _of_run(folder, composed(), words, **more).data
    assert (mine.source.digits.root, mine.source.test_file) == ("mine", "t.npy")
    assert (mine.num_targets, mine.num_frames) == (20, None)


DAMAGED = [
    "[",
    "5",
    '{"a": 1}',
    '{"a": {"value": "x", "protocol": {}}}',
    '{"a": {"value": 1, "protocol": {"update": [1]}}}',
    '{"a": {"value": 1%s, "protocol": {}}}' % (400 * "0"),
    "[" * 9999,
]


@pytest.mark.parametrize("text", DAMAGED)
def test_hostile_scores_are_refused_in_one_message(tmp_path, text):
    from limner.commands.export import _scores

    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        _scores(tmp_path)


@pytest.mark.parametrize("text", ["[", "{}", "[1]", "null", "[" * 9999])
def test_hostile_results_of_a_job_are_no_objective(tmp_path, text):
    from limner.launch.job import objective

    config = {"metrics": {"objective": {"name": "a", "mode": "min"}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "scores.json").write_text(text)
    assert objective(tmp_path) is None
    (tmp_path / "scores.json").write_text(json.dumps({"a": {"value": 3}}))
    assert objective(tmp_path) == ("a", 3.0)
    (tmp_path / "config.yaml").write_text("metrics: !!python/object/apply:os.system ['x']")
    assert objective(tmp_path) is None


@pytest.mark.parametrize("row", ["x,y,z", "1", "1,2,3,4", "\xff,1,2", "1,\0,1"])
def test_draw_curve_leaves_out_the_rows_of_a_hostile_history(tmp_path, row):
    from limner.commands.evaluate.curves import draw_curve

    text = f"update,time/seconds,val/fid\n1,2,3\n{row}\n,x,y\n"
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    draw_curve(tmp_path, score="val/fid")
    points = (tmp_path / "time_to_score.csv").read_text().splitlines()[1:]
    assert len(points) == 1, points
    assert points[0].endswith("3.0")


def _of_run(folder, config, overrides, **more):
    from hydra import initialize_config_dir

    from limner.config.schema import CONFIG_DIR

    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return of_run(folder, config, overrides, **more)
