"""Every network's YAML fits its classes, together with every condition's YAML."""

import inspect

import pytest
import torch
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

from limner.config.schema import CONFIG_DIR

NETWORKS = sorted({path.stem for path in (CONFIG_DIR / "network").glob("*.yaml")} - {"none"})
GAN_NETWORKS = [
    "dcgan", "mlp", "r3gan", "resnet", "resnet_large", "stylegan2", "stylegan2_256",
    "stylegan2_cifar",
]  # fmt: skip
OF_TEXTS = {"text", "text_vae"}
CONDITIONS = sorted(
    {path.stem for path in (CONFIG_DIR / "model" / "condition").glob("*.yaml")} - OF_TEXTS
)
ROLES = (
    "generator",
    "discriminator",
    "encoder",
    "decoder",
    "classifier",
    "prior",
    "restorer",
    "predictor",
)
CONDITIONED = {
    "none": ("none", "none"),
    "concat": ("concat", "concat"),
    "projection": ("batch_norm", "projection"),
    "auxiliary": ("concat", "auxiliary"),
}


def shelf(config):
    return OmegaConf.to_container(config.network, resolve=True)


@pytest.mark.parametrize("network", [*NETWORKS, "discriminator/patch"])
def test_network_values_stand_in_yaml_and_not_in_python(network):
    nodes = OmegaConf.load(CONFIG_DIR / "network" / f"{network}.yaml")
    parts = [nodes, *(nodes.get(role, {}) for role in ROLES)]
    found = [part for part in parts if "_target_" in part]
    assert found or nodes.defaults in (
        ["resnet", "_self_"],
        ["johnson", "_self_"],
        ["stylegan2", "_self_"],
    )
    for node in found:
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        assert set(node) - {"_target_"} == set(parameters)
        assert all(p.default is p.empty for p in parameters.values())


@pytest.mark.parametrize(
    ("network", "condition"),
    [
        pytest.param(network, condition, marks=[pytest.mark.slow] * (i != j))
        for i, network in enumerate(GAN_NETWORKS)
        for j, condition in enumerate(CONDITIONS)
    ],
)
def test_every_network_accepts_every_condition(composed, network, condition):
    has_norm = network not in ("mlp", "r3gan") and not network.startswith("stylegan2")
    more = (
        ["network.generator_condition=concat"]
        if condition == "projection" and not has_norm
        else []
    )
    made = composed("model=gan", f"network={network}", f"model/condition={condition}", *more)
    nodes = shelf(made)
    conditions = nodes["generator_condition"], nodes["discriminator_condition"]
    assert conditions == (("concat", "projection") if more else CONDITIONED[condition])
    assert (made.model.num_classes, made.model.auxiliary is None) == (
        None if condition == "none" else 10, condition != "auxiliary",
    )  # fmt: skip
    labels = None if condition == "none" else torch.tensor([0, 9])
    images = instantiate(nodes["generator"])(torch.randn(2, 64), labels)
    assert images.shape == (2, 1, 8, 8)
    logits = instantiate(nodes["discriminator"])(images, labels)
    assert logits.shape == ((2, 11) if condition == "auxiliary" else (2,))


@pytest.mark.parametrize("network", GAN_NETWORKS)
def test_every_network_accepts_codes_of_texts(composed, network):
    texts = ["data=shapes", "data.image_shape=[1,8,8]", "model.text.code_dim=5"]
    made = composed("model=gan", f"network={network}", "model/condition=text", *texts)
    nodes = shelf(made)
    assert nodes["num_classes"] == 5
    codes = torch.randn(2, 5)
    images = instantiate(nodes["generator"])(torch.randn(2, 64), codes)
    assert images.shape == (2, 1, 8, 8)
    assert instantiate(nodes["discriminator"])(images, codes).shape == (2,)


def test_network_without_batch_norm_names_the_conditions_it_accepts(composed):
    nodes = shelf(composed("model=gan", "network=mlp", "model/condition=projection"))
    with pytest.raises(
        Exception, match="this network has no batch norm; choose one of none, concat"
    ):
        instantiate(nodes["generator"])


def test_data_without_labels_is_refused_by_the_number_of_classes(composed):
    nodes = shelf(composed("model=gan", "model/condition=concat", "data=celeba"))
    with pytest.raises(Exception, match=r"network\.num_classes=0: .* needs data with labels"):
        instantiate(nodes["generator"])


@pytest.mark.parametrize(
    "network",
    [
        "dcgan",
        "mlp",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet", "resnet_large")),
    ],
)
def test_spectral_norm_is_switched_by_one_key(composed, network):
    for value in (True, False):
        key = f"network.spectral_norm={str(value).lower()}"
        node = shelf(composed("model=gan", f"network={network}", key))["discriminator"]
        with torch.device("meta"):
            names = [name for name, _ in instantiate(node).named_buffers()]
        assert any(name.endswith("._u") for name in names) == value
