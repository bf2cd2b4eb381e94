"""The check of `_target_` arguments, and the objects that are built from them."""

import traceback
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from limner.config.build import build, check
from limner.config.build import composed as as_data
from limner.config.own_code import OwnModuleError
from limner.config.schema import CONFIG_DIR, RunConfig
from limner.errors import UserError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=abc", "optimizer.lr=abc: must be a number, not text"),
        ("model.latent_dim=2.5", "model.latent_dim=2.5: must be a whole number"),
        ("model.latent_dim=true", "must be a whole number or null, not true"),
        ("data.image_shape=8", "data.image_shape=8: must be a list of whole numbers or null"),
        ("data.image_shape=[1,8,x]", "must be a list of whole numbers"),
        ("network.encoder.width=wide", "network.encoder.width=wide: must be a whole number"),
        ("data.store=disk", "data.store=disk: must be auto or memory or mapped or streamed"),
        ("trainer.max_epochs=many", "trainer.max_epochs=many: must be a whole number or null"),
        ("data.augmentation=3", "data.augmentation=3: must be a mapping with _target_ or null"),
        ("+model.latnt_dim=3", "model.latnt_dim is not a parameter of VAE; did you mean latent_d"),
        ("+trainer.max_epoch=3", "trainer.max_epoch is not a parameter of Trainer; did you mean"),
        ("+optimizer.learning_rate=3", "optimizer.learning_rate is not a parameter of Adam"),
        ("optimizer._target_=torch.optim.Adamm", "_target_=torch.optim.Adamm cannot be imported"),
        ("~model.kl_weight", "model lacks kl_weight, which VAE needs"),
        ("network=dcgan", "needs a network with the part encoder; choose one of network="),
        ("data=image_folder", "data.path must be given: data.path=..."),
        ("+model.extra=${nowhere.to_be_found}", "nowhere"),
    ],
)
def test_check_names_a_wrong_argument(composed, override, message):
    with pytest.raises(UserError) as error:
        check(composed(override))
    assert message in str(error.value)


def test_check_describes_a_missing_value_by_its_comment(composed):
    for more in ([], ["data=pictures", "data.path=nowhere"]):
        with pytest.raises(UserError) as error:
            check(composed("model=style_transfer", *more))
        first, second = str(error.value).splitlines()
        assert first == "model.styles must be given: model.styles=..."
        assert second.startswith("(paths of the style pictures, such as [")


def test_check_names_the_key_that_a_value_is_read_from(composed):
    words = "model=pix2pix", "data=paired_folder", "data.path=nowhere"
    with pytest.raises(UserError) as error:
        check(composed(*words, "data.input_side=rigth"))
    assert str(error.value) == "data.input_side=rigth: must be left or right."
    with pytest.raises(UserError, match=r"^data\.input_folder=3: must be text or null"):
        check(composed(*words, "data.input_folder=3"))


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=1",
        "trainer.devices=[0]",
        "trainer.precision=bf16-mixed",
        "+trainer.gradient_clip_val=1.0",
        "+trainer.limit_test_batches=2",
        "+optimizer.amsgrad=true",
        "model.ema_half_life=100",
        "data.augmentation=null",
    ],
)
def test_check_accepts_a_right_argument(composed, override):
    check(composed(override))


def test_check_names_the_key_that_is_wrong_before_the_facts_that_follow_from_it(composed):
    with pytest.raises(UserError, match=r"^data\.crop_size=0: must be 1 or more"):
        check(composed("data=restoration", "data.path=x", "data.crop_size=0"))


def test_build_turns_the_refusal_of_a_constructor_into_a_message(composed):
    with pytest.raises(UserError, match=r"model\.kl_weight=-1\.0"):
        build(composed("model.kl_weight=-1.0"), "model")


def test_check_accepts_keys_without_a_parameter_when_others_read_them(composed):
    made = composed("data=mnist", "data.root=/somewhere")
    check(made)
    assert str(build(made, "data").source.root) == "/somewhere"


def test_schema_and_files_have_the_same_keys():
    written = OmegaConf.load(CONFIG_DIR / "train.yaml")
    keys = set(written) - {"defaults", "hydra"}
    groups = {"model", "network", "data", "optimizer", "lr_schedule", "metrics", "logger"}
    groups |= {"callbacks", "beta2_schedule"}
    assert keys | groups == set(RunConfig.__dataclass_fields__)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a user's module `mine_N` and return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(code: str) -> str:
        name = f"mine_{len(list(tmp_path.glob('mine_*.py')))}_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


def raised_in(error: BaseException) -> str:
    """Return the file of the innermost frame."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).stem


@pytest.mark.parametrize(
    ("body", "kind"),
    [("raise ValueError('mine')", ValueError), ("1 / 0", ZeroDivisionError),
     ("{}['a']", KeyError), ("import torch; torch.zeros(2).view(3)", RuntimeError),
     ("len(3)", TypeError), ("import no_such_package", ImportError)],
)  # fmt: skip
def test_build_keeps_the_traceback_of_an_exception_in_a_users_constructor(
    composed, own, body, kind
):
    name = own(f"class Loss:\n    def __init__(self):\n        {body}\n")
    made = composed(f"+model.penalty._target_={name}.Loss")
    check(made, only=["data"])
    with pytest.raises(kind) as error:
        build(made, "model")
    assert raised_in(error.value) == name
    (note,) = error.value.__notes__
    assert note == f"limner was building model: Error in call to target '{name}.Loss':"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("1 / 0", "ZeroDivisionError"), ("import no_such_package", "ModuleNotFoundError"),
     ("raise ImportError('old torch')", "ImportError"), ("def f(:", "SyntaxError")],
)  # fmt: skip
def test_check_shows_the_traceback_of_an_import_below_a_message(composed, own, code, kind):
    name = own(f"def deep():\n    return 1\n{code}\nclass Adam: ...\n")
    with pytest.raises(OwnModuleError) as error:
        check(composed(f"optimizer._target_={name}.Adam"))
    first, *below = str(error.value).splitlines()
    assert first.startswith(f"optimizer._target_={name}.Adam: importing it raises {kind} (")
    assert first.endswith(f"{name}.py, line 3):")
    assert below[-1].startswith(kind)
    assert any(f'{name}.py", line 3' in line for line in below)
    assert not any("importlib" in line or "/hydra/" in line for line in below)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_package.Adam", "No module named 'no_such_package'"),
        ("torch.no_such_module.Adam", "no_such_module"),
        ("..Adam", "Relative imports"),
        ("math.pi", "cannot be called"),
    ],
)
def test_check_names_a_target_that_does_not_exist(composed, target, message):
    with pytest.raises(UserError, match=message):
        check(composed(f"optimizer._target_={target}"))


@pytest.mark.parametrize(
    "override", ["trainer.devices=-5", "trainer.precision=15", "trainer.strategy=none"]
)
def test_build_turns_a_refusal_of_lightning_into_a_message(composed, override):
    with pytest.raises(UserError):
        build(composed("accelerator=cpu", override), "trainer")


def test_build_turns_the_refusal_of_a_library_into_a_message_with_the_key(composed):
    words = ["_target_=torch.nn.Conv2d", "in_channels=2", "out_channels=2", "kernel_size=1",
             "groups=3"]  # fmt: skip
    made = composed(*(f"+callbacks.own.{word}" for word in words))
    with pytest.raises(UserError, match=r"^callbacks\.own: torch\S*Conv2d refuses .*divisible"):
        build(made, "callbacks")


def test_build_keeps_the_traceback_of_a_torch_exception_inside_a_users_class(composed, own):
    name = own("import torch\nclass Loss:\n    def __init__(self):\n"
               "        torch.nn.Conv2d(2, 2, 1, groups=3)\n")  # fmt: skip
    with pytest.raises(ValueError, match="divisible"):
        build(composed(f"+callbacks.own._target_={name}.Loss"), "callbacks")


def test_build_turns_a_call_that_does_not_fit_into_a_message(composed, own):
    name = own("class Loss:\n    def __init__(self, **options):\n        pass\n"
               "def loss(a, /): ...\n")  # fmt: skip
    with pytest.raises(UserError, match="argument"):
        build(composed(f"+model.penalty._target_={name}.loss", "+model.penalty.a=1"), "model")


def test_composed_config_has_the_parts_of_network_where_the_model_reads_them(composed):
    plain = as_data(composed("model=gan", "network=mlp", "network.generator.hidden_dims=[12]"))
    assert "network" not in plain
    assert plain["model"]["generator"]["hidden_dims"] == [12]
