"""Migration of models that earlier versions saved to the classes of this version.

A saved config names classes and their arguments; a checkpoint or an export names tensors after the
attributes that hold them. When a class moves, or when an argument or such an attribute is renamed,
an entry in the tables below keeps the saved models loadable. Tests load a run and an export of
commit 66a6948, and build every option of conf/model in that commit.
"""

__all__ = ["migrate", "migrate_weights"]

import re
from collections.abc import Mapping
from typing import Any

MOVED_MODULES = {
    "limner.losses.kl_schedules": "limner.schedules",
    "limner.losses.schedules": "limner.schedules",
    "limner.losses.sigma": "limner.losses.gaussian_likelihood",
}
"""Earlier module -> module that contains its classes now."""
RENAMED_CLASSES = {
    "limner.losses.likelihood.Gaussian": "limner.losses.likelihood.GaussianLikelihood",
}
"""Earlier name of a class -> its name now, for classes that did not move with their module."""
RENAMED_ARGUMENTS = {"limner.losses.penalty.Weighted": {"penalty": "function"}}
"""Class -> earlier name of an argument -> its name now."""
GONE = {"limner.models.VAE": {"auxiliary"}, "limner.models.CodePrior": {"auxiliary"}}
"""Class -> arguments that no longer exist and were always null."""
ADDED: dict[str, dict[str, Any]] = {
    "limner.models.VAE": {
        "prior": {"_target_": "limner.networks.priors.StandardNormal", "latent_dim": None},
        "objective": {"_target_": "limner.losses.objectives.Elbo", "free_bits": None},
        "kl_schedule": None,
        "num_classes": None,
        "text": None,
    },
    "limner.models.GAN": {"text": None},
    "limner.models.SequenceVAE": {"text": None},
    "limner.losses.gradient_penalty.R1": {"approximate": None},
    "limner.losses.gradient_penalty.R2": {"approximate": None},
    "limner.networks.conv.Encoder": {"num_classes": None},
    "limner.networks.conv.Decoder": {"num_classes": None, "params_per_value": 1},
    "limner.networks.mlp.Encoder": {"num_classes": None},
    "limner.networks.mlp.Decoder": {"num_classes": None, "params_per_value": 1},
}
"""Class -> arguments added since, with the values that give the earlier behaviour."""
GRADIENTS = {"max_gradient_norm": "max_norm", "num_parts": "accumulate"}
"""Earlier argument of a model -> name of this argument in its `gradients` now."""
TRAINED = {"Classifier", "CodePrior", "GAN", "LatentPrior", "VAE", "VAEGAN", "VQVAE"}
"""Classes of `limner.models` that take `gradients`."""
RENAMED_WEIGHTS = ((re.compile(r"^(.*\.)?penalty\.(\w+)\.penalty\."), r"\1penalty.\2.function."),)
"""Pattern of the start of a tensor's earlier name, and its replacement."""


def migrate(node: Any) -> Any:
    """Return the plain data of a saved model's config with the current names and arguments.

    A config that this version saved does not change.
    """
    if isinstance(node, list):
        return [migrate(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    values = {key: migrate(value) for key, value in node.items()}
    if not isinstance(values.get("_target_"), str):
        return values
    values["_target_"] = _class_name(values["_target_"])
    name = _short_name(values["_target_"])
    renamed = RENAMED_ARGUMENTS.get(name, {})
    values = {
        renamed.get(key, key): value
        for key, value in values.items()
        if key not in GONE.get(name, ())
    }
    return _with_gradients(name, {**ADDED.get(name, {}), **values})


def migrate_weights(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of a saved model under their current names, in the same order."""
    renamed = {}
    for name, value in state_dict.items():
        for pattern, replacement in RENAMED_WEIGHTS:
            name = pattern.sub(replacement, name) if isinstance(name, str) else name
        renamed[name] = value
    return renamed


def _class_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if name in RENAMED_CLASSES or module not in MOVED_MODULES:
        return RENAMED_CLASSES.get(name, name)
    return f"{MOVED_MODULES[module]}.{kind}"


def _short_name(name: str) -> str:
    """Return the name of a class as in conf/: limner.models.VAE for limner.models.vae.VAE."""
    return re.sub(r"^limner\.models\.\w+\.(\w+)$", r"limner.models.\1", name)


def _with_gradients(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return a model's arguments with `gradients` instead of two separate numbers."""
    package, _, kind = name.rpartition(".")
    if package != "limner.models" or kind not in TRAINED or "gradients" in values:
        return values
    target = "limner.models.gradients.Gradients"
    gradients = {"_target_": target, "max_norm": None, "accumulate": 1}
    gradients |= {new: values.pop(old) for old, new in GRADIENTS.items() if old in values}
    return {**values, "gradients": gradients}
