"""Start of a network from the weights of another run, such as SRGAN from a super-resolution run.

`model.initial_weights` is the folder of a run, an export, or a repository of the hub. A new run
starts from the weights of its network, with the average of the weights if there is one. A resumed
run has its own weights, and does not read the other run again.
"""

__all__ = ["advice_without", "read_initial_weights", "start_from"]

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from limner.errors import UserError
from limner.models.ema import best
from limner.pretrained.load import load
from limner.pretrained.migrations import migrate
from limner.pretrained.trained_model import TrainedModel

KEY = "model.initial_weights"
SHAPES = ("input_shape", "image_shape")
"""Arguments of a network that depend on the crop; the shapes of the weights are compared."""
SHOWN = 3  # largest number of differences in a message


def read_initial_weights(config: DictConfig) -> TrainedModel | None:
    """Return the trained model whose network a new run starts from; None if the config names none.

    Raises:
        UserError: If the model does not exist, is damaged, or does not change pictures.
    """
    source = OmegaConf.select(config, KEY)
    if source is None:
        return None
    trained = load(source, device="cpu", trust=list(config.trust))
    if not isinstance(getattr(trained.module, "network", None), nn.Module) or not getattr(
        trained.module, "reads_input", False
    ):
        raise UserError(
            f"{KEY}={source}: a {type(trained.module).__name__} does not change pictures; name a "
            "run of\nmodel=super_resolution, restoration, pix2pix or srgan."
        )
    return trained


def start_from(trained: TrainedModel, model: nn.Module, config: DictConfig) -> None:
    """Copy the weights of a trained network, averaged if there is an average, to a new model.

    Args:
        trained: What `read_initial_weights` returned.
        model: The new model, whose `network` and average `ema` get the weights.
        config: Config of the new model, with the facts of the data.

    Raises:
        UserError: If the networks differ; the message names the values to change.
    """
    weights = best(trained.module).state_dict()
    differences = list(_differences(trained.config["model"], config))
    if not differences:
        own = model.network.state_dict()
        differences = [
            f"{name} has the shape {_shape(weights, name)} there and {_shape(own, name)} here"
            for name in dict.fromkeys([*own, *weights])
            if _shape(own, name) != _shape(weights, name)
        ]
    if differences:
        more = len(differences) - SHOWN
        told = ",\n".join(differences[:SHOWN]) + (f", and {more} more" if more > 0 else "")
        raise UserError(f"{KEY}={trained.source} needs the same network:\n{told}.")
    model.network.load_state_dict(weights)
    if model.ema is not None:
        model.ema.network.load_state_dict(weights)


def advice_without(model: nn.Module) -> str | None:
    """Return a warning about an adversarial model that starts from random weights, or None.

    A discriminator that does not see the input teaches a network that is untrained very little.
    """
    if getattr(model, "discriminator_sees_input", True) or model.initial_weights is not None:
        return None
    return (
        f"{KEY} is null: the network starts from random weights, which gives poor\npictures. "
        f"First train model=super_resolution, then set {KEY}=RUN."
    )


def _differences(saved: Mapping[str, Any], config: DictConfig) -> Iterator[str]:
    """Yield how the network of a saved model differs from the network of a config."""
    there = migrate(saved.get("network"))
    here = OmegaConf.to_container(config.model.network, resolve=True)
    if not isinstance(there, Mapping):
        return
    for name in dict.fromkeys([*here, *there]):
        a, b = there.get(name), here.get(name)
        if name not in SHAPES and a != b:
            key = "network" if name == "_target_" else f"network.restorer.{name}"
            yield f"{key} is {_last(a)} there and {_last(b)} here"


def _last(value: Any) -> Any:
    """Return a value, and the last part of the name of a class."""
    return value.rpartition(".")[2] if isinstance(value, str) else value


def _shape(weights: Mapping[str, Any], name: str) -> str:
    return "x".join(map(str, weights[name].shape)) if name in weights else "none"
