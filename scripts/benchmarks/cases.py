"""The measured cases: a network, a batch size and an image shape, the same for all opponents.

A case is a command line of limner. The other opponents read their numbers from the config that
this command line composes, so one line in `CASES` adds a new network of limner here.
"""

__all__ = ["CASES", "Case", "Setup", "compose_setup", "fill_cache", "make_networks"]

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the process that starts the programs needs no torch
    from omegaconf import DictConfig
    from torch import nn

EMA_HALF_LIFE = 10_000
"""Half-life in images of the weight average, which every opponent computes."""
NUM_CLASSES = 10
PARTS = {"VAE": ("encoder", "decoder"), "GAN": ("generator", "discriminator")}
"""The networks of each model, in the order in which limner makes them."""
WIDE = ("width=128", "max_width=1024")
STYLEGAN2 = ("model=gan", "network=stylegan2_cifar", "model.latent_dim=512")
"""The networks of experiment=stylegan2_cifar10, with the penalty and augmentation left out."""

R3GAN = ("model=gan", "network=r3gan", "network.width=768", "network.max_width=768")
"""The networks of experiment=r3gan_cifar10, with the penalties and augmentation left out."""

STYLEGAN2_SMALL = (
    "model=gan", "network=stylegan2", "network.generator.style_dim=128",
    "network.generator.num_mapping_layers=2", "network.generator.mixing=0.0",
    *(f"network.{part}.{key}" for part in ("generator", "discriminator")
      for key in ("width=16", "max_width=128")),
)  # fmt: skip
"""The networks of experiment=stylegan2_cifar10_small, with noise inputs, without penalties."""
R3GAN_SMALL = (
    "model=gan", "network=r3gan", "network.width=16", "network.max_width=128",
    "network.num_blocks=1",
)  # fmt: skip
"""The networks of experiment=r3gan_small, with the penalties left out."""


@dataclass(frozen=True)
class Case:
    """One network at one size."""

    name: str
    choices: tuple[str, ...]
    """Words of limner's command line that choose the model and its network."""
    image_shape: tuple[int, int, int]
    """Shape (C, H, W) of an image."""
    batch_size: int
    precision: str = "32-true"
    on_cpu: bool = True
    """Whether a CPU trains the case in an acceptable time."""
    is_quick: bool = True
    """Whether `--quick` measures the case."""
    averages: bool = True
    """Whether limner and the other programs average the weights."""
    loop_target: float = 1.05
    """Target: largest multiple of the loop's time that limner may take."""
    gross: float = 1.5
    """Multiple of the loop's time that noise cannot explain."""
    bare_target: float | None = None
    """Target: largest multiple of the bare loop's time that limner may take."""
    tutorial_target: float | None = None
    """Target: smallest multiple of limner's time that the tutorial should take."""

    def overrides(self, images: Path) -> list[str]:
        """Return the words for `python train.py` that train this case on a file of images."""
        return [
            *self.choices,
            f"model.ema_half_life={EMA_HALF_LIFE if self.averages else 'null'}",
            "data=image_folder",
            "data.source._target_=benchmarks.images.SavedImages",
            f"data.path='{images}'",
            f"data.image_shape={list(self.image_shape)}",
            f"data.num_classes={NUM_CLASSES}",
            f"data.batch_size={self.batch_size}",
            "data.validation_fraction=0",
            "data.test_fraction=0",
            f"trainer.precision={self.precision}",
            "metrics=none",
        ]


def _mlp(hidden_dim: int, latent_dim: int) -> tuple[str, ...]:
    """Return the words for a VAE of multi-layer perceptrons with one hidden layer."""
    return (
        "model=vae",
        "network=mlp",
        f"network.encoder.hidden_dims=[{hidden_dim}]",
        f"network.decoder.hidden_dims=[{hidden_dim}]",
        f"model.latent_dim={latent_dim}",
    )


def _large(size: int, precision: str) -> list[Case]:
    """Return the cases with the largest networks, in one precision."""
    vae = [f"network.{part}.{key}" for part in PARTS["VAE"] for key in WIDE]
    gan = [f"network.{part}.{key}" for part in PARTS["GAN"] for key in WIDE]
    end = f"{size}_{precision.split('-')[0]}"
    shape = (3, size, size)
    return [
        Case(f"vae_conv_wide_{end}", ("model=vae", *vae), shape, 64, precision, on_cpu=False),
        Case(f"gan_dcgan_wide_{end}", ("model=gan", *gan), shape, 64, precision, on_cpu=False),
    ]


CASES = [
    # tiny, so that the overhead of an update dominates
    Case("vae_tiny_8", _mlp(16, 32), (1, 8, 8), 64, averages=False, gross=2.5, bare_target=1.5),
    # the size of PyTorch's example "vae"
    Case("vae_small_28", _mlp(400, 20), (1, 28, 28), 128, averages=False, bare_target=1.10),
    Case("vae_mlp_28", ("model=vae", "network=mlp"), (1, 28, 28), 128, tutorial_target=2.0),
    Case("vae_conv_32", ("model=vae",), (3, 32, 32), 128),
    Case("gan_dcgan_32", ("model=gan",), (3, 32, 32), 64, tutorial_target=1.2),
    Case("gan_stylegan2_small_32", STYLEGAN2_SMALL, (3, 32, 32), 16, is_quick=False),
    Case("gan_r3gan_small_32", R3GAN_SMALL, (3, 32, 32), 16, is_quick=False),
    Case("gan_stylegan2_32", STYLEGAN2, (3, 32, 32), 64, on_cpu=False),
    Case("gan_r3gan_32", R3GAN, (3, 32, 32), 64, on_cpu=False),
    *(c for size in (32, 128) for precision in ("32-true", "bf16-mixed")
      for c in _large(size, precision)),
]  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """A case as plain numbers, for a program that reads no config."""

    model: str
    """"VAE" or "GAN"."""
    networks: Mapping[str, Mapping[str, Any]]
    """Class and arguments of each part."""
    values: Mapping[str, Any]
    """Other values of the model, such as latent_dim, kl_weight and sigma."""
    lr: float
    betas: tuple[float, float]
    batch_size: int
    images: str
    """Path of a .npy file of uint8 images (N, C, H, W)."""
    device: str
    bf16: bool
    averages: bool
    """Whether to average the weights."""
    flags: tuple[str, ...] = ()
    """Flags after the name of the opponent; "loop:compile" has the flag compile."""


def compose_setup(case: Case, *, images: Path, device: str, flags: tuple[str, ...] = ()) -> Setup:
    """Read the numbers of a case from limner's config."""
    from limner.config.build import composed

    values = composed(_compose(case, images))
    model, optimizer = values["model"], values["optimizer"]
    kind = model.pop("_target_").rsplit(".")[-1]
    if not optimizer["_target_"].endswith(".Adam"):
        raise ValueError(f"{case.name} trains by {optimizer['_target_']}; the opponents by Adam.")
    return Setup(
        model=kind,
        networks={part: model.pop(part) for part in PARTS[kind]},
        values=model,
        lr=optimizer["lr"],
        betas=tuple(optimizer["betas"]),
        batch_size=case.batch_size,
        images=str(images),
        device=device,
        bf16=case.precision.startswith("bf16"),
        averages=case.averages,
        flags=flags,
    )


def fill_cache(case: Case, images: Path) -> None:
    """Make limner decode the images, which it does once for each data set."""
    from limner.config.build import build

    build(_compose(case, images), "data").open()


def make_networks(setup: Setup) -> "list[nn.Module]":
    """Return the parts of the model with random weights, in the order of limner."""
    made = []
    for node in setup.networks.values():
        arguments = dict(node)
        module, name = arguments.pop("_target_").rsplit(".", 1)
        made.append(getattr(importlib.import_module(module), name)(**arguments))
    return made


def _compose(case: Case, images: Path) -> "DictConfig":
    from hydra import compose, initialize_config_dir  # the measured programs need no Hydra

    from limner.config.schema import CONFIG_DIR, register

    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=case.overrides(images))
    config.run_dir = "unused"
    return config
