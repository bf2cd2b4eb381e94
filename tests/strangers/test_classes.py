"""The classes that a config may name, and where."""

import sys

import pytest
import yaml

from limner.config.build import composed as plain
from limner.config.schema import CONFIG_DIR
from limner.errors import UserError
from limner.pretrained.refusals import foreign_classes, refuse_foreign, targets
from support.hostile import PLACES, TARGETS


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("target", TARGETS)
def test_foreign_classes_refuses_a_hostile_target_in_every_place(place, target):
    for more in ({}, {"_partial_": True}):
        values = _at(place, {"_target_": target, **more})
        assert foreign_classes(values, trust=[]), (place, target)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "limner.models.VAE", "_args_": [1]},
        {"_target_": "limner.models.VAE", "_partial_": True},
        {"_target_": "limner.models.VAE", "_recursive_": False},
        {"_target_": ["limner.models.VAE"]},
        {"_target_": None},
        {"_target_": "limner.models.gan.AdversarialLoss"},
        {"_target_": "limner.data.ImageDataModule"},
        {"_target_": "limner.callbacks.scores.Scores"},
        {"_target_": "torch.optim.Adam"},
    ],
)
def test_foreign_classes_refuses_everything_but_a_plain_model_node(node):
    assert foreign_classes({"model": node}, trust=[])


def test_foreign_classes_accepts_only_plain_values_in_a_trainer():
    trainer = {"_target_": "lightning.pytorch.Trainer", "max_steps": 3, "devices": [0, 1]}
    assert not foreign_classes({"trainer": trainer}, trust=[])
    for more in ({"plugins": {"a": 1}}, {"model_registry": "mine"}):
        assert foreign_classes({"trainer": trainer | more}, trust=[])


GROUPS = ["model", "data", "metrics", "lr_schedule", "beta2_schedule", "optimizer"]
OPTIONS = {
    group: sorted(file.stem for file in (CONFIG_DIR / group).glob("*.yaml")) for group in GROUPS
}
NEEDED = {
    "data=captioned": {"data.path": "x"},
    "data=restoration": {"data.path": "x"},
    "data=super_resolution": {"data.path": "x"},
    "data=huggingface": {"data.path": "x"},
    "data=huggingface_pairs": {"data.path": "x", "data.input_column": "x"},
    "data=image_folder": {"data.path": "x"},
    "data=multi_view": {"data.path": "x"},
    "data=paired_folder": {"data.path": "x"},
    "data=pictures": {"data.path": "x"},
    "data=shapes_styles": {"model": "cyclegan", "data": "unpaired_folders", "data.path": "x"},
    "data=unpaired_folders": {"model": "cyclegan", "data": "unpaired_folders", "data.path": "x"},
    "data=frame_folders": {"data.path": "x"},
    "data=imagenet": {"data.root": "x"},
    "model=code_prior": {"model.first_stage": "x"},
    "model=latent_prior": {"model.first_stage": "x"},
    "model=cyclegan": {"data": "unpaired_folders", "data.path": "x"},
    "model=pix2pix": {"data": "paired_folder", "data.path": "x"},
    "model=srgan": {"data": "super_resolution", "data.path": "x"},
    "model=style_transfer": {"data": "pictures", "data.path": "x", "model.styles": "[x]"},
    "model=sequence_vae": {"data": "frame_folders", "data.path": "x"},
    "model=video_prediction": {"data": "frame_folders", "data.path": "x"},
    "model=restoration": {"data": "restoration", "data.path": "x"},
    "model=super_resolution": {"data": "super_resolution", "data.path": "x"},
}


@pytest.mark.parametrize("i", range(max(map(len, OPTIONS.values()))))
def test_foreign_classes_accepts_every_option_of_conf(composed, i):
    """Config i has the i-th option of each group, so that every option occurs."""
    chosen = {group: options[i % len(options)] for group, options in OPTIONS.items()}
    for group in ("data", *GROUPS):  # data may need another model, which may need other data
        chosen |= NEEDED.get(f"{group}={chosen[group]}", {})
    words = [f"{key}={value}" for key, value in chosen.items()]
    assert not foreign_classes(plain(composed(*words)), trust=[]), words


@pytest.mark.parametrize(
    "words",
    [["model=gan", "model/penalty=consistency", "callbacks=profiler", "logger=wandb"],
     ["model/prior=flow", "model/likelihood=logistic", "model/kl_schedule=linear",
      "data/augmentation=flip"],
     ["data=restoration", "data.path=x",
      "data/degradation=[noise,blur,low_light,jpeg,downscale,holes]"],
     ["data=super_resolution", "data.path=x", "data/degradation=resize"],
     ["data=shapes", "data/augmentation=strong"],
     ["model=pix2pix", "data=shapes_edges"], ["model=cyclegan", "data=shapes_styles"]],
)  # fmt: skip
def test_foreign_classes_accepts_the_parts_of_conf(composed, words):
    assert not foreign_classes(plain(composed(*words)), trust=[])


def test_refuse_foreign_names_the_classes_and_the_package_to_trust():
    values = {"callbacks": {"a": {"_target_": "trap.Part"}}}
    with pytest.raises(UserError, match=r"run=x: .*callbacks\.a=trap\.Part.*trust=\[trap\]"):
        refuse_foreign(values, "run=x", trust=[])
    refuse_foreign(values, "run=x", trust=[], own={("callbacks.a", "trap.Part")})
    for target in ("os.system", "torch.load"):
        with pytest.raises(UserError) as error:
            refuse_foreign({"model": {"_target_": target}}, "run=x", trust=[])
        assert "trust" not in str(error.value), "nobody is asked to trust the whole of torch"


def test_refuse_foreign_names_all_classes_and_one_list_of_packages():
    values = {
        "model": {"_target_": "a.X", "loss": {"_target_": "b.Y"}},
        "data": {"source": {"_target_": "c.Z"}},
    }
    with pytest.raises(UserError) as error:
        refuse_foreign(values, "run=x", trust=["c"])
    for text in ("model=a.X", "model.loss=b.Y", "trust=[a,b,c]"):
        assert text in str(error.value)
    assert "c.Z" not in str(error.value)


def test_trusted_module_is_not_imported_while_another_class_is_refused(trap):
    values = {"model": {"_target_": "trap.Part", "loss": {"_target_": "other.Loss"}}}
    with pytest.raises(UserError, match=r"model\.loss=other\.Loss.*trust=\[other,trap\]"):
        refuse_foreign(values, "run=x", trust=["trap"])
    assert "trap" not in sys.modules
    assert not trap.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "Python finds no module mine_here, which trust= names.\nPass the folder that"),
        ("import absent_library", "mine_here cannot be imported (ModuleNotFoundError: No module"),
        ("1 / 0", "mine_here cannot be imported (ZeroDivisionError"),
        ("raise SystemExit(0)", "mine_here cannot be imported (SystemExit"),
        ("class Other: pass", "the module mine_here has no class Net."),
    ],
)
def test_trusted_module_that_gives_no_class_is_reported_with_the_reason(
    tmp_path, monkeypatch, code, message
):
    if code is not None:
        (tmp_path / "mine_here.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    values = {"model": {"_target_": "mine_here.Net"}}
    with pytest.raises(UserError) as error:
        refuse_foreign(values, "run=x", trust=["mine_here"])
    sys.modules.pop("mine_here", None)
    assert "model._target_=mine_here.Net: " in str(error.value)
    assert message in str(error.value)
    assert "refused" not in str(error.value)


def test_targets_finds_targets_in_lists_too():
    node = yaml.safe_load("a: [{_target_: x}, [{b: {_target_: y}}]]")
    assert [key for key, _ in targets(node)] == ["a[0]", "a[1][0].b"]


def _at(place: str, node):
    value = node
    for name in reversed(place.split(".")):
        value = {name.removesuffix("[0]"): [value] if name.endswith("[0]") else value}
    return value
