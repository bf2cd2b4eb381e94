"""The real configs: every option composes, fits its class, and combines with the others."""

import inspect
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from torchvision.datasets import CelebA, cifar

from limner.config.build import build, check
from limner.config.schema import CONFIG_DIR
from limner.errors import UserError
from limner.pretrained.roles import allowed
from limner.randomness import Noise
from limner.resume.allowed_changes import leaves
from limner.training import train as train_module
from support import clips, composition, fakes, hub_data

slow = partial(pytest.param, marks=pytest.mark.slow)
FILES = sorted(CONFIG_DIR.rglob("*.yaml"))
MODELS = [
    "vae", "cvae", "ladder_vae", "draw", "rae", "vqvae", "vaegan", "gan", "cgan", "classifier",
    "pixelcnn",
]  # fmt: skip
FRAMES = {"video_prediction": "moving_shapes", "sequence_vae": "moving_shapes"}
"""Models that read sequences of frames, and a data set that each reads."""
PICTURES = {
    "restoration": "restoration", "super_resolution": "super_resolution",
    "pix2pix": "paired_folder", "srgan": "super_resolution",
    "style_transfer": "pictures",
}  # fmt: skip
"""Models that change pictures, and a data set that each reads."""
DEGRADED = ["multi_view", "pictures", "restoration", "super_resolution"]
"""Data sets of pictures and their (degraded) copies."""
DOMAINS = ["shapes_styles", "unpaired_folders"]
"""Data sets of two domains, which only models of two domains read."""
SEQUENCES = ["frame_folders", "moving_mnist", "moving_shapes"]
"""Data sets of sequences of frames, which only models of sequences read."""
STORED_PAIRS = ["huggingface_pairs", "paired_folder", "shapes_edges"]
"""Data sets of stored inputs and targets, for models that change pictures."""
DATA = sorted(
    {path.stem for path in (CONFIG_DIR / "data").glob("*.yaml")}
    - {*DEGRADED, *DOMAINS, *SEQUENCES, *STORED_PAIRS}
)
KINDS = ["digits", "cifar100", "celeba", "imagenet"]
"""Data sets of each size, number of channels and kind of labels; the others are like these."""
LABELLED = ("classifier", "cgan", "cvae")
"""Models that need labels, which celeba lacks."""
PAIRS = [
    (MODELS[i % len(MODELS)], DATA[i % len(DATA)]) for i in range(max(len(MODELS), len(DATA)))
]
PAIRS = [pair for pair in PAIRS if pair[0] not in LABELLED or pair[1] != "celeba"]
PAIRS += [("cvae", "imagenet"), ("vae", "celeba")]
PAIRS += [*PICTURES.items(), *FRAMES.items()]
PAIRS += [("vae", "super_resolution"), ("gan", "restoration"), ("vae", "shapes_edges")]
PAIRS += [("restoration", name) for name in STORED_PAIRS] + [("pix2pix", "shapes_edges")]
PAIRS += [("cyclegan", name) for name in DOMAINS]
PAIRS = sorted({*PAIRS})
"""Pairs in which each model and each data set occurs."""
COMBINATIONS = [
    ("vae", "conv", "likelihood=bernoulli prior=standard_normal objective=elbo kl_schedule=none"),
    slow("vae", "mlp", "likelihood=gaussian prior=vamp objective=iwae"),
    ("vae", "residual", "likelihood=learned_gaussian prior=mixture objective=dreg"),
    slow("vae", "conv", "likelihood=optimal_gaussian prior=flow kl_schedule=linear"),
    ("vae", "conv", "likelihood=logistic kl_schedule=cyclical"),
    slow("vae", "conv", "objective=rae"),
    ("vae", "conv", "likelihood=perceptual"),
    ("cvae", "conv", ""),
    slow("vae", "conv", "likelihood=categorical"),
    ("rae", "conv", ""),
    ("pixelcnn", "pixelcnn", "likelihood=categorical"),
    slow("pixelcnn", "pixelcnn", "likelihood=logistic condition=concat"),
    ("ladder_vae", "ladder", ""),
    ("draw", "draw", "likelihood=logistic kl_schedule=linear"),
    ("vqvae", "residual_map", ""),
    ("vaegan", "vaegan", ""),
    slow("vaegan", "mlp", ""),
    slow("gan", "dcgan", "loss=minimax penalty=none condition=none augmentation=none"),
    ("gan", "mlp", "loss=non_saturating penalty=lecam condition=concat augmentation=diffaugment"),
    ("gan", "resnet", "loss=least_squares penalty=r1 condition=projection augmentation=ada"),
    ("gan", "resnet_large", "loss=hinge penalty=consistency condition=auxiliary"),
    slow("gan", "dcgan", "loss=wasserstein penalty=gradient"),
    ("gan", "r3gan", "loss=relativistic penalty=r1_r2 condition=concat augmentation=transforms"),
    slow("gan", "dcgan", "loss=relativistic penalty=r1_r2"),
    slow("gan", "dcgan", "penalty=r2"),
    slow("cgan", "dcgan", "augmentation=diffaugment"),
    ("cgan", "resnet", "augmentation=ada"),
    ("gan", "projected", "loss=hinge augmentation=diffaugment condition=projection penalty=r1"),
    ("gan", "stylegan2", "loss=non_saturating penalty=[r1,path_length] condition=auxiliary"),
    slow("gan", "stylegan2", "condition=text penalty=[r1,path_length] augmentation=ada"),
    slow("gan", "stylegan2_256", "penalty=[r1,path_length] condition=concat"),
    slow("gan", "stylegan2_cifar", "penalty=r1 augmentation=ada"),
    ("gan", "dcgan", "condition=text loss=hinge"),
    slow("gan", "mlp", "condition=text loss=relativistic penalty=r1 augmentation=diffaugment"),
    slow("gan", "resnet", "condition=text penalty=lecam"),
    slow("gan", "r3gan", "condition=text loss=relativistic"),
    ("vae", "mlp", "condition=text_vae text=words"),
    slow("vae", "conv", "condition=text_vae objective=iwae"),
    ("classifier", "cnn", ""),
    slow("classifier", "mlp", ""),
    ("classifier", "lite0", ""),
    ("super_resolution", "srresnet", "losses=pixel"),
    slow("super_resolution", "edsr", "losses=[pixel,perceptual]"),
    ("super_resolution", "multi_frame", "losses=pixel"),
    slow("super_resolution", "multi_view", "losses=[pixel,ssim]"),
    ("restoration", "span", "losses=[pixel,ssim]"),
    slow("restoration", "nafnet", ""),
    ("restoration", "nafnet_holes", ""),
    ("restoration", "unet", ""),
    ("cyclegan", "johnson", "loss=least_squares penalty=lecam augmentation=diffaugment"),
    slow("cyclegan", "unet", "loss=wasserstein penalty=gradient"),
    slow("cyclegan", "johnson", "loss=relativistic penalty=r1_r2 augmentation=ada"),
    ("style_transfer", "johnson_styles", "losses=style"),
    slow("restoration", "johnson", ""),
    ("pix2pix", "unet", "losses=[pixel,ssim] penalty=r1 augmentation=ada"),
    slow("pix2pix", "johnson", "loss=hinge augmentation=diffaugment penalty=[lecam,consistency]"),
    ("pix2pix", "srresnet", "loss=relativistic penalty=r1_r2"),
    slow("pix2pix", "nafnet", "loss=wasserstein penalty=gradient"),
    ("srgan", "edsr", "losses=srgan"),
    slow("srgan", "span", "loss=least_squares penalty=r2"),
    ("video_prediction", "conv_lstm", "losses=[bernoulli,ssim] scheduled_sampling=linear"),
    ("video_prediction", "simvp", "losses=pixel_l2 scheduled_sampling=none"),
    ("sequence_vae", "recurrent", "likelihood=logistic prior=flow objective=dreg"),
    slow("sequence_vae", "recurrent", "likelihood=bernoulli prior=mixture objective=iwae"),
]
"""Model, network and choices inside the model: every model and every option occurs.

The test of a model that is added is one line here, and its name in `MODELS`.
"""
ELSEWHERE = {
    "model/likelihood": ["lpips"],  # this option needs a download
    "model/prior": ["gaussian_mixture"],  # this option and the next options are for second stages
    "model/text": ["pretrained"],  # this option needs transformers
    "network": ["none", "transformer"],
}
"""Options that tests of their own train."""


SHARED = {
    "root", "path", "folder", "path_b", "folder_a", "folder_b", "shapes",
    "layout", "input_folder", "target_folder", "input_side", "test_file", "num_digits",
    "num_shapes", "captions", "held_out", "file_column", "text_column", "label_column", "group",
    "revision", "subset", "train_split", "image_column", "group_column", "input_column",
}  # fmt: skip
"""Keys of data that serve only other keys of data."""
OTHERS = ("beta2_schedule", "callbacks", "logger", "lr_schedule", "metrics")
"""Groups whose options fit any model and data; metrics=auto is completed later."""
ALONE = (
    "accelerator=cpu", "logger=none", "~callbacks.progress", "~callbacks.pictures",
    "~callbacks.codes", "~callbacks.augmentation", "~callbacks.checkpoints",
)  # fmt: skip
"""Overrides that switch off everything except the training itself."""


def mark_slow(values: list[str], *, except_for: tuple[str, ...]) -> list:
    return [v if v in except_for else pytest.param(v, marks=pytest.mark.slow) for v in values]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    fakes.mnist(root)
    fakes.mnist(root, "FashionMNIST")
    fakes.cifar(root, 10)
    fakes.cifar(root, 100)
    fakes.svhn(root)
    fakes.celeba(root)
    fakes.imagenet(root / "imagenet")
    fakes.images(root / "folder", 40, size=(20, 24), classes=2)
    columns = {
        side: [hub_data.png(i, (36, 41)) for i in range(20)] for side in ("before", "after")
    }
    hub_data.write(root / "pairs.parquet", columns)
    fakes.images(root / "pictures", 20, size=(36, 41))
    fakes.captioned(root / "captioned", 40, size=(20, 24))
    for part in ("pairs/before", "pairs/after", "domains/A", "domains/B"):
        fakes.images(root / part, 20, size=(36, 41))
    fakes.images(root / "styles", 2, size=(40, 36))
    clips.write_clips(root / "clips", 10, num_frames=20)
    return root


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off checksums, because the fake files differ from the originals."""
    monkeypatch.setattr(cifar, "check_integrity", lambda *a, **k: True)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *a, **k: True)
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)


def files_of(data: str, root: Path) -> list[str]:
    own = {"digits": [], "shapes": [], "image_folder": [f"data.path={root}/folder"]}
    own["captioned"] = [f"data.path={root}/captioned"]
    own["shapes_edges"] = ["data.crop_size=24", "data.input_channels=3"]
    own["paired_folder"] = [
        f"data.path={root}/pairs", "data.input_folder=before", "data.target_folder=after",
        "data.crop_size=24",
    ]  # fmt: skip
    own["huggingface"] = [f"data.path={root}/folder"]
    own["huggingface_pairs"] = [
        f"data.path={root}/pairs.parquet", "data.input_column=before", "data.crop_size=24",
    ]  # fmt: skip
    own["imagenet"] = [f"data.root={root}/imagenet", "data.num_classes=2"]
    own |= {name: [f"data.path={root}/pictures", "data.crop_size=24"] for name in DEGRADED}
    own["unpaired_folders"] = [f"data.path={root}/domains", "data.crop_size=24"]
    own["shapes_styles"] = ["data.crop_size=24"]
    own["moving_shapes"] = []
    own["frame_folders"] = [f"data.path={root}/clips", "data.image_size=16"]
    return own.get(data, [f"data.root={root}"])


def narrow(model: str, root: Path) -> list[str]:
    patches = ["network.discriminator.width=8", "network.discriminator.receptive_field=16"]
    found = ["network.restorer.width=8"] if model in (*PICTURES, "cyclegan") else []
    if model in FRAMES:
        own = {
            "video_prediction": ["network.predictor.width=8", "network.predictor.num_layers=1"],
            "sequence_vae": ["network.encoder.width=8", "network.decoder.width=8"],
        }
        return [
            *own[model], "data.num_inputs=2", "data.num_targets=2",
            "data.source.shapes.num_validation=8",
        ]  # fmt: skip
    if model == "style_transfer":
        paths = ",".join(map(str, sorted((root / "styles").iterdir())))
        return [*found, f"model.styles=[{paths}]", "model.style_size=32"]
    return [*found, *patches] if model == "cyclegan" else found


def data_of(model: str, network: str, choices: str, root: Path) -> list[str]:
    """Return the words of the data of a model that changes pictures, or reads texts; else none."""
    if "condition=text" in choices:
        return ["data=shapes", "data.captions=true", "data.image_shape=[3,16,16]",
                "data.source.num_train=200"]  # fmt: skip
    data = "shapes_styles" if model == "cyclegan" else (PICTURES | FRAMES).get(model)
    small = narrow(model, root)
    if network in ("multi_frame", "multi_view"):
        data = "multi_view"
    if network == "nafnet_holes":
        small = ["data/degradation=holes", "network.restorer.network.width=8"]
    return [] if data is None else [f"data={data}", *files_of(data, root), *small]


def train(made: DictConfig, folder: Path) -> None:
    """Train a composed config as the command line does."""
    made.run_dir = str(folder)
    with open_dict(made):
        train_module.train(train_module.prepare(made))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("data", KINDS)
@pytest.mark.usefixtures("unchecked")
def test_every_model_trains_a_batch_of_every_kind_of_data_set(
    composed, data_root, tmp_path, model, data
):
    made = composed(
        f"model={model}", f"data={data}", *files_of(data, data_root), *ALONE, "metrics=none",
        "data.batch_size=4", "trainer.max_steps=1", "trainer.limit_val_batches=0",
    )  # fmt: skip
    if model in LABELLED and data == "celeba":
        with pytest.raises(UserError, match="labels"):
            train(made, tmp_path)
    else:
        train(made, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), PAIRS)
@pytest.mark.usefixtures("unchecked")
def test_every_model_and_every_data_set_makes_a_run(run, composed, data_root, model, data):
    words = [
        f"model={model}", f"data={data}", *files_of(data, data_root), *narrow(model, data_root),
        "metrics=none",
    ]  # fmt: skip
    check_parameters(composed(*words))
    result = run(
        *words, "trainer.max_steps=1", "logger=csv", "data.batch_size=8", "accelerator=cpu",
        "callbacks.pictures.num_images=4", "callbacks.codes.num_images=8",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert (result.only_run() / "checkpoints" / "update_00000001.ckpt").is_file()
    if model not in ("vqvae", "classifier"):
        assert (result.only_run() / "final.png").is_file()


@pytest.mark.parametrize("model", mark_slow(MODELS, except_for=("vae", "gan")))
def test_every_optimizer_steps_every_model(composed, model):
    """Each has the requested learning rate, and changes every parameter that has a gradient."""
    made = composed(f"model={model}")
    for name in options("optimizer"):
        made.optimizer = OmegaConf.load(CONFIG_DIR / "optimizer" / f"{name}.yaml")
        made.optimizer.lr = 0.01
        optimizers = build(made, "model").configure_optimizers()
        for each in optimizers if isinstance(optimizers, tuple) else (optimizers,):
            assert {group["lr"] for group in each.param_groups} == {0.01}
            parameters = [p for group in each.param_groups for p in group["params"]]
            before = [p.detach().clone() for p in parameters]
            for parameter in parameters:
                parameter.grad = torch.ones_like(parameter)
            each.step()
            assert all((a != b).all() for a, b in zip(before, parameters, strict=True))


@pytest.mark.parametrize("model", [*PICTURES, "video_prediction"])
def test_model_takes_the_losses_that_its_message_names(composed, model):
    """Logits fit predicted frames only, and losses of style fit style transfer only."""
    fitting = []
    for name in options("model/losses"):
        made = composed(f"model={model}", f"model/losses={name}")
        kind, losses = get_object(made.model._target_), instantiate(made.model.losses)
        message = None
        try:
            kind._refuse_losses(losses)
        except ValueError as error:
            message = str(error)
        fitting += [name] * (message is None)
        assert message is None or f"choose model/losses={kind.fitting_losses}." in message
    refused = {"video_prediction": ["style"], "style_transfer": ["bernoulli"]}
    expected = refused.get(model, ["bernoulli", "style"])
    assert fitting == [name for name in options("model/losses") if name not in expected]
    named = kind.fitting_losses.replace(" or ", ", ").replace(",,", ",").split(", ")
    assert {name for name in named if name in options("model/losses")} <= {*fitting}


@pytest.mark.parametrize(("model", "network", "choices"), COMBINATIONS)
def test_every_choice_inside_a_model_trains(
    composed, data_root, tmp_path, model, network, choices
):
    """The run draws its pictures, too."""
    made = composed(
        f"model={model}", f"network={network}", *(f"model/{word}" for word in choices.split()),
        *data_of(model, network, choices, data_root),
        "metrics=none", "trainer.max_steps=2", "trainer.limit_val_batches=1", "data.batch_size=8",
        "callbacks.pictures.num_images=4",
        *(word for word in ALONE if word != "~callbacks.pictures"),
    )  # fmt: skip
    check_parameters(made)
    train(made, tmp_path)
    assert (tmp_path / "final.png").is_file() == (model not in ("classifier", "vqvae"))


def test_combinations_contain_every_model_and_every_option():
    rows = [getattr(row, "values", row) for row in COMBINATIONS]
    assert {model for model, *_ in rows} == {*MODELS, *PICTURES, *FRAMES, "cyclegan"}
    found = {f"network={network}" for _, network, _ in rows}
    for group, names in (word.split("=") for *_, choices in rows for word in choices.split()):
        found |= {f"model/{group}={name}" for name in names.strip("[]").split(",")}
    folders = [path for path in (CONFIG_DIR / "model").iterdir() if path.is_dir()]
    found.add("network/discriminator=patch")  # pix2pix, srgan and cyclegan choose this option
    for group in [
        "network",
        "network/discriminator",
        *(f"model/{folder.name}" for folder in folders),
    ]:
        missing = [name for name in options(group) if f"{group}={name}" not in found]
        assert missing == ELSEWHERE.get(group, []), group


@pytest.mark.parametrize("name", [n for n in options("data/degradation") if n != "none"])
def test_every_degradation_is_built_from_its_file_alone_and_in_a_list(composed, name):
    data = "super_resolution" if name == "resize" else "restoration"
    other = "blur" if name == "noise" else "noise"
    for parts in ([name], [other, name]):
        made = composed(f"data={data}", f"data/degradation=[{','.join(parts)}]", "data.path=x")
        check(made)
        check_parameters(made)
        assert list(made.data.degradation.parts) == parts
        degradation = instantiate(made.data.degradation, _convert_="all")
        assert list(degradation.protocol()) == parts
        assert degradation.factor == made.data.scale
        assert degradation(torch.zeros(1, 3, 8, 8), draws=Noise()).input.shape[:2] == (1, 3)


@pytest.mark.parametrize("name", options("data"))
def test_run_on_every_data_set_may_be_resumed(composed, name):
    """`limner` reads the config of a run as untrusted, and accepts its classes of data."""
    found = nodes(composed(f"data={name}").data, "data")
    assert [p for p, node in found if allowed(node["_target_"], p) is None] == []


@pytest.mark.parametrize("name", DOMAINS)
def test_every_data_set_of_two_domains_has_both(composed, data_root, name):
    made = composed(f"data={name}", *files_of(name, data_root))
    check(made)
    check_parameters(made)
    data = build(made, "data")
    data.open()
    for letter in "ab":
        store, indices = data.domain(letter, "validation")
        assert list(store.gather(indices[:2]).shape[1:]) == data.image_shape


def test_number_of_frames_follows_inputs_and_targets(composed):
    assert composed("data=moving_shapes", "data.num_inputs=3").data.num_frames == 13
    assert composed("data=moving_shapes", "data.num_inputs=3.5").data.num_frames is None


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_data_set_of_sequences_has_frames(composed, data_root, name):
    made = composed(f"data={name}", *files_of(name, data_root))
    check(made)
    check_parameters(made)
    data = build(made, "data")
    data.open()
    for split in ("train", "validation", "test"):
        store, indices = data.split(split)
        assert list(store.gather(indices[:1]).shape[1:]) == [20, *data.image_shape]


@pytest.mark.parametrize("accelerator", options("accelerator"))
def test_every_accelerator_composes(composed, accelerator):
    made = composed(f"accelerator={accelerator}")
    check(made)
    assert made.trainer.accelerator in ("auto", "cpu", "gpu", "mps")


@pytest.mark.parametrize(
    "experiment",
    mark_slow(
        options("experiment"), except_for=("dcgan_mnist", "sngan_cond_cifar10", "vae_mnist")
    ),
)
def test_experiment_overrides_everything_but_the_command_line(composed, experiment):
    file = CONFIG_DIR / "experiment" / f"{experiment}.yaml"
    assert file.read_text().splitlines()[1].startswith("# "), "which paper or table it reproduces"
    written = OmegaConf.load(file)
    del written["defaults"]
    made = composed(f"experiment={experiment}")
    if OmegaConf.is_missing(made.data, "path"):
        made.data.path = "pictures"
    if OmegaConf.is_missing(made.model, "styles"):
        made.model.styles = ["a.png", "b.png"]
    check(made)
    for key, value in leaves(written).items():
        is_reference = isinstance(value, str) and value.startswith("${")
        expected = OmegaConf.select(made, value[2:-1]) if is_reference else value
        assert OmegaConf.select(made, key) == expected, key
    assert composed(f"experiment={experiment}", "trainer.max_epochs=3").trainer.max_epochs == 3


@pytest.mark.parametrize("metrics", options("metrics"))
def test_every_metrics_option_states_its_objective(composed, metrics):
    assert "objective" in composed(f"metrics={metrics}").metrics


def test_command_line_overrides_what_a_model_or_data_set_prefers(composed):
    assert composed("model=gan").optimizer.betas == [0.5, 0.999]
    assert composed("model=gan", "optimizer=adam").optimizer.betas == [0.9, 0.999]
    assert composed("model=gan", "optimizer=sgd", "optimizer.lr=1").optimizer.lr == 1
    assert "classifier" in composed("data=mnist").metrics.objective.name
    assert composed("data=mnist", "metrics=inception").metrics.objective.name == "val/fid"
    assert composed("model=classifier").metrics.objective.name == "val/accuracy"


def nodes(node, path=""):
    if OmegaConf.is_dict(node):
        if "_target_" in node:
            yield path, node
        for key in node:
            if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
                yield from nodes(node[key], f"{path}.{key}")


@pytest.mark.parametrize("i", range(max(len(options(group)) for group in OTHERS)))
def test_every_option_has_its_values_in_yaml_and_not_in_python(composed, i):
    """Config i has the i-th option of each group; models and data are checked where they train."""
    found = {group: [name for name in options(group) if name != "auto"] for group in OTHERS}
    made = composed(*(f"{group}={names[i % len(names)]}" for group, names in found.items()))
    check(made)
    check_parameters(made)


def check_parameters(made):
    """Check that the YAML keys are the constructor's parameters, and that none has a default."""
    for path, node in nodes(made):
        target = get_object(node["_target_"])
        if not target.__module__.startswith("limner."):
            continue
        parameters = inspect.signature(target).parameters
        defaults = [n for n, p in parameters.items() if p.default is not p.empty]
        assert not defaults, f"{target.__name__} has defaults: {defaults}"
        keys = {key for key in node if not key.startswith("_")}
        shared = SHARED if path == ".data" else set()
        assert set(parameters) <= keys, path
        assert keys - set(parameters) <= shared, path


@pytest.mark.parametrize(
    "words",
    [
        ["model=gan", "model/penalty=r1", "model.penalty.r1.weight=3", "~callbacks.codes"],
        ["experiment=sngan_cifar10", "+callbacks.early_stopping.a=1", "data.batch_size=3"],
    ],
)
def test_tests_compose_what_hydra_composes(composed, words):
    """The tests merge the files of conf/ once; see support.composition."""
    with pytest.MonkeyPatch.context() as patch:
        composition.merge_every_time(patch)
        expected = OmegaConf.to_yaml(composed(*words))
    for _ in range(2):
        changed = composed(*words[:2])
        changed.data.batch_size = 7
        del changed.trainer
        assert OmegaConf.to_yaml(composed(*words)) == expected


def test_tests_notice_a_change_of_a_config_file_outside_of_conf(run):
    file = Path("own/experiment/mine.yaml")
    file.parent.mkdir(parents=True)
    for seed in (3, 4):
        file.write_text(f"# @package _global_\nseed: {seed}\n")
        for _ in range(2):
            result = run("--config-dir", "own", "experiment=mine", "--cfg", "job")
            assert result.out.startswith(f"seed: {seed} "), result.err


def test_no_value_is_an_interpolation_of_an_interpolation():
    for file in FILES:
        for line in file.read_text().splitlines():
            assert line.count("${${") == 0, file
