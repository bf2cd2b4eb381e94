"""Facts that only the data may know: null in the config until the data are read."""

__all__ = [
    "FACTS", "fill_facts", "keep_commit", "refuse_kind_of_data", "refuse_missing_facts",
    "refuse_unfit_inputs", "refuse_unlabelled", "unfit_network", "with_placeholders",
]  # fmt: skip

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from limner.config.options import (
    attribute,
    data_with_captions,
    data_with_inputs,
    degradations,
    files_with,
    models_that,
    options_with,
    options_with_labels,
    with_options,
)
from limner.errors import UserError

FACTS = (
    "image_shape", "input_shape", "num_classes", "vocabulary", "num_tokens", "text_length",
)  # fmt: skip
OF_INPUTS = re.compile(r"'data\.(input_shape|scale)\b")
"""Keys of data with inputs, in the error about a config that reads a key which is not there."""
OF_FRAMES = re.compile(r"'data\.(num_inputs|num_targets|num_frames)\b")
"""Keys of data with sequences, likewise."""
OF_TEXTS = re.compile(r"'data\.(vocabulary|num_tokens|text_length)\b")
"""Keys of data with captions, likewise."""
OF_MODEL = re.compile(r"\$\{model\.(\w+)")
"""Key of `model` that a network reads."""
COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
COPY = "limner.augmentations.degradations.Copy"
"""Degradation whose input equals the target."""
FOR_HOLES = "limner.networks.known_pixels."
"""Module of networks that change the pixels in holes only."""


def fill_facts(config: DictConfig, data: Any) -> None:
    """Write the facts that the opened data know into the config, for the model to read."""
    for name in FACTS:
        if hasattr(data, name):
            config.data[name] = getattr(data, name)
    commit = getattr(getattr(data, "source", None), "commit", None)
    if commit is not None and "revision" in config.data:  # a repository of the hub
        config.data.revision = commit


def keep_commit(config: DictConfig, before: Mapping[str, Any]) -> None:
    """Set `data.revision` of a resumed run to the commit that it started with.

    Args:
        config: Config of the run.
        before: Facts of the data in the records of the run, which are untrusted.
    """
    commit = before.get("revision")
    same = "revision" in config.data and config.data.path == before.get("path")
    if same and isinstance(commit, str) and COMMIT.fullmatch(commit):
        config.data.revision = commit


def with_placeholders(config: DictConfig) -> DictConfig:
    """Return the config with placeholders for unknown lengths, shapes and numbers of tokens."""
    found: dict[str, Any] = {}
    if config.get("num_updates", 1) is None:
        found["num_updates"] = 1
    if "input_shape" in config.data:
        shapes = [name for name in FACTS if name.endswith("shape") and config.data[name] is None]
        found["data"] = {name: [1, 1, 1] for name in shapes}
    if "text_length" in config.data:
        numbers = [name for name in ("num_tokens", "text_length") if config.data[name] is None]
        found["data"] = found.get("data", {}) | dict.fromkeys(numbers, 1)
    return OmegaConf.merge(config, found) if found else config


def unfit_network(config: DictConfig, error: Exception) -> str | None:
    """Return the message about a network that does not fit the model; None for another error.

    The network lacks a part that the model reads, or reads a key that the model lacks.

    Args:
        config: Config of a run.
        error: Error about a key that is not there.
    """
    if (role := re.search(r"'network\.(\w+)'", str(error))) is not None:
        return (
            f"This model needs a network with the part {role[1]}; choose one of "
            f"{_fitting_networks(config, role[1])}"
        )
    missing = re.search(r"'model\.(\w+)'", str(error))
    for role, part in (config.get("network") or OmegaConf.create()).items_ex(resolve=False):
        if missing is not None and OmegaConf.is_config(part) and missing[1] in _of_model(part):
            return (
                f"The chosen network reads model.{missing[1]}, which this model lacks;\n"
                f"choose one of {_fitting_networks(config, str(role))}"
            )
    return None


def _fitting_networks(config: DictConfig, role: str) -> str:
    """Return the networks that have a role and fit the model and the data, as network=A, B, C.

    A network that reads a key of `model` fits a model with this key. A network that fills holes
    fits data with holes.
    """
    holes = OmegaConf.select(config, "data.degradation.parts.holes") is not None
    fitting = [
        name
        for name, node in files_with("network", role).items()
        if (holes or not str(OmegaConf.select(node, f"{role}._target_")).startswith(FOR_HOLES))
        and _of_model(node[role]) <= {*config.model.keys()}
    ]
    return "network=" + ", ".join(fitting)


def _of_model(part: DictConfig) -> set[str]:
    """Return the keys of `model` that a part of a network reads."""
    return {*OF_MODEL.findall(OmegaConf.to_yaml(part))}


def refuse_kind_of_data(model: object, data: object) -> None:
    """Raise `UserError` if the batches of the data lack what a model reads.

    A model that `reads_input` needs data with an `input_shape`. A model that `reads_domains` needs
    data with a method `domain`, and no other model can read such data. The same holds for a model
    that `reads_frames`, and data that `has_frames`. Such a model needs the numbers of frames of
    the data. A model that `reads_text` needs data that `has_text`.
    """
    name, has_domains = type(model).__name__, hasattr(data, "domain")
    own = f"data={getattr(data, 'name', None)}"
    if getattr(model, "reads_text", False) and not getattr(data, "has_text", False):
        raise UserError(_needs_captions(with_options(model), own))
    has_frames = getattr(data, "has_frames", False)
    if getattr(model, "reads_frames", False):
        if not has_frames:
            raise UserError(_needs_frames(with_options(model), own))
        _refuse_other_lengths(model, data)
    elif has_frames:
        models = models_that("reads_frames")
        raise UserError(
            f"{name} reads single images, and {own} has sequences of frames;\n"
            f"choose other data, such as data=image_folder{models and ', or one of ' + models}.\n"
            "A class of your own that reads sequences needs the attribute reads_frames = True."
        )
    elif getattr(model, "reads_domains", False):
        if not has_domains:
            raise UserError(_needs_domains(name, own))
    elif getattr(model, "reads_input", False):
        if has_domains or not hasattr(data, "input_shape"):
            compares = getattr(model, "compares_with_target", True)
            raise UserError(_needs_inputs(with_options(model), own, compares=compares))
        if not getattr(data, "has_inputs", True):
            raise UserError(
                f"{with_options(model)} reads an input beside each image, and\n"
                "data/degradation=none makes none; choose one of\n"
                f"{degradations(enlarges=getattr(model, 'scale', 1) > 1)}"
            )
    elif has_domains:
        raise UserError(
            f"{name} reads one set of images, and {own} has two domains;\n"
            "choose other data, such as data=image_folder. A class of your own that reads both\n"
            "needs the attribute reads_domains = True."
        )


def _refuse_other_lengths(model: object, data: object) -> None:
    """Raise `UserError` if the model or a part of it has other numbers of frames than the data."""
    for name in ("num_inputs", "num_targets", "num_frames"):
        right = getattr(data, name, None)
        network = getattr(model, "network", None)
        for part in (model, network, getattr(network, "decoder", None)):
            found = getattr(part, name, right)
            if right is not None and found != right:
                what = "model" if part is model else "network"
                raise UserError(
                    f"{what}: {name}={found}, and the data have data.{name}={right}. The {what} "
                    f"takes it\nfrom the data: leave it out, and set data.num_inputs and "
                    "data.num_targets."
                )


def refuse_unlabelled(config: DictConfig) -> None:
    """Raise `UserError` if the data lack the labels or the captions that the model reads.

    Args:
        config: Config of a run, with the facts of the opened data.
    """
    if config.data.get("num_tokens") is None and _reads_captions(config):
        raise UserError(_needs_captions("This model", f"data={config.data.get('name')}"))
    name = OmegaConf.select(config, "model._target_")
    is_classifier = name == "limner.models.Classifier"
    of_model = OmegaConf.select(config, "model.num_classes")
    found = config.data.get("num_classes")
    if not isinstance(found, int) or found > 1 or of_model is None:
        return
    if is_classifier or (found == 0 and of_model == 0):
        what = "model=classifier needs labels of two classes or more"
        own, number = f"data={config.data.get('name')}", "none" if found == 0 else "one class"
        if attribute(config, "reads_frames", False):
            raise UserError(
                f"This conditional model needs labels, and {own} has {number}, as all sequences:\n"
                "choose model/condition=none."
            )
        raise UserError(
            f"{what if is_classifier else 'This conditional model needs labels'}, and {own} has "
            f"{number}; choose\none of {options_with_labels()}"
            + ("" if is_classifier else ",\nor a model without labels: model/condition=none")
        )


def refuse_missing_facts(config: DictConfig, error: Exception) -> None:
    """Raise `UserError` if the error is that a model reads a fact that the data lack.

    Args:
        config: Config of a run.
        error: Error about a key that is not there.
    """
    named = "This model", f"data={config.data.get('name')}"
    if OF_FRAMES.search(str(error)):
        raise UserError(_needs_frames(*named)) from error
    if OF_TEXTS.search(str(error)):
        raise UserError(_needs_captions(*named)) from error
    if not OF_INPUTS.search(str(error)):
        return
    if attribute(config, "reads_domains", False):
        raise UserError(_needs_domains(*named)) from error
    compares = attribute(config, "compares_with_target", True)
    raise UserError(_needs_inputs(*named, compares=compares)) from error


def refuse_unfit_inputs(config: DictConfig) -> None:
    """Raise `UserError` if the inputs of the data are of no use to the model.

    A model that compares its outputs with targets learns nothing from inputs that equal the
    targets. A network of styles paints pictures of their own size.

    Args:
        config: Config of a run.
    """
    if not attribute(config, "reads_input", False):
        return
    data, scale = f"data={config.data.get('name')}", config.data.get("scale")
    if attribute(config, "compares_with_target", True):
        parts = OmegaConf.select(config, "data.degradation.parts") or {}
        if parts and all(part.get("_target_") == COPY for part in parts.values()):
            raise UserError(
                f"This model learns a target that differs from the input, and {data} with\n"
                f"data/degradation=copy has equal ones; choose {data_with_inputs(compares=True)}"
            )
    elif scale not in (None, 1) and "num_styles" in (config.model.get("network") or {}):
        raise UserError(
            f"The network of styles keeps the size of a picture, and {data} has data.scale="
            f"{scale};\nchoose {data_with_inputs(compares=False)}"
        )


def _reads_captions(config: DictConfig) -> bool:
    """Return whether the model, or a network that it may read, reads a fact of captions."""
    parts = [config.get(key) for key in ("model", "network")]
    texts = [OmegaConf.to_yaml(part) for part in parts if OmegaConf.is_config(part)]
    return any("${data.num_tokens}" in text for text in texts)


def _needs_captions(name: str, data: str) -> str:
    return f"{name} reads captions, and {data} has none;\nchoose one of {data_with_captions()}"


def _needs_inputs(name: str, data: str, *, compares: bool) -> str:
    return (
        f"{name} reads an input beside each image, and {data} has none;\n"
        f"choose {data_with_inputs(compares=compares)}"
    )


def _needs_domains(name: str, data: str) -> str:
    return (
        f"{name} reads two domains of images, and {data} has one;\n"
        f"choose one of {options_with('data', 'hidden_pairs')}"
    )


def _needs_frames(name: str, data: str) -> str:
    return (
        f"{name} reads sequences of frames, and {data} has single images;\n"
        f"choose one of {options_with('data', 'image_size')}"
    )
