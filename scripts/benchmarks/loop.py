"""A loop as an expert writes it: images on the device, one gather for a batch, no waiting.

This loop is the speed limit that limner is measured against, so it has every optimisation that
helped in measurements: a fused optimizer, and on a CPU channels_last (4 to 7 % of a convolutional
network's time; compiling gained nothing there). Flags after the name choose other optimisations:
"loop:channels_last", "loop:compile", "loop:channels_last+compile", or "loop:plain" for none.

"loop" does the same work as limner: it also averages the weights, and writes the losses of every
20th update into a file. "loop:bare" only trains.
"""

__all__ = ["GANLoop", "VAELoop"]

import copy
import csv
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.cases import EMA_HALF_LIFE, Setup
from benchmarks.images import load_images

EVERY = 20
"""Number of updates between two logged updates."""
DEFAULTS = {"cpu": ("channels_last",), "cuda": ("channels_last", "compile")}


class VAELoop:
    """Training loop of an encoder and a decoder of Gaussian pixels."""

    def __init__(self, setup: Setup, encoder: nn.Module, decoder: nn.Module) -> None:
        self.setup = setup
        self.network = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        _prepare(setup, self.network)
        self.ema = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = _adam(setup, self.network)

    def updates(self) -> Iterator[None]:
        """Train without end, and yield after each update."""
        setup, network, optimizer = self.setup, self.network, self.optimizer
        weights, averages = list(network.parameters()), list(self.ema.parameters())
        log = _Log(setup)
        for update, x in enumerate(_batches(setup)):
            with torch.autocast(setup.device, torch.bfloat16, enabled=setup.bf16):
                mean, logvar = network["encoder"](x)
                z = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
                squares = (x - network["decoder"](z)).square().sum()
                kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum()
                loss = squares / (2 * setup.values["likelihood"]["sigma"] ** 2)
                loss = (loss + setup.values["kl_weight"] * kl) / x.numel()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if _averages(setup):
                torch._foreach_lerp_(averages, weights, 1 - _decay(setup, update))
            log.write(update, loss=loss, squares=squares, kl=kl)
            yield

    @torch.no_grad()
    def draw(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        z = torch.randn(num_images, self.setup.values["latent_dim"], device=self.setup.device)
        return self.ema["decoder"](z).clamp(-1, 1)

    def state(self) -> dict[str, Any]:
        """Return the state that resuming needs."""
        parts = {"network": self.network, "ema": self.ema, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}


class GANLoop:
    """Training loop of a generator and a discriminator on the non-saturating loss."""

    def __init__(self, setup: Setup, generator: nn.Module, discriminator: nn.Module) -> None:
        self.setup, self.generator, self.discriminator = setup, generator, discriminator
        for network in (generator, discriminator):
            _prepare(setup, network)
        self.ema = copy.deepcopy(generator).requires_grad_(False).eval()
        self.optimizers = [_adam(setup, network) for network in (generator, discriminator)]

    def updates(self) -> Iterator[None]:
        """Train without end, and yield after each update."""
        setup, generator, discriminator = self.setup, self.generator, self.discriminator
        generator_optimizer, discriminator_optimizer = self.optimizers
        weights, averages = list(generator.parameters()), list(self.ema.parameters())
        buffers, copies = list(generator.buffers()), list(self.ema.buffers())
        judges, log = list(discriminator.parameters()), _Log(setup)
        for update, real in enumerate(_batches(setup)):
            with torch.autocast(setup.device, torch.bfloat16, enabled=setup.bf16):
                with torch.no_grad():
                    fake = generator(self._noise(len(real)))
                real_loss, fake_loss = (
                    softplus(-discriminator(real)),
                    softplus(discriminator(fake)),
                )
                discriminator_loss = (real_loss + fake_loss).mean()
            discriminator_optimizer.zero_grad()
            discriminator_loss.backward()
            discriminator_optimizer.step()

            for parameter in judges:
                parameter.requires_grad = False
            with torch.autocast(setup.device, torch.bfloat16, enabled=setup.bf16):
                loss = softplus(-discriminator(generator(self._noise(len(real))))).mean()
            generator_optimizer.zero_grad()
            loss.backward()
            generator_optimizer.step()
            for parameter in judges:
                parameter.requires_grad = True

            if _averages(setup):
                torch._foreach_lerp_(averages, weights, 1 - _decay(setup, update))
                if copies:
                    torch._foreach_copy_(copies, buffers)
            log.write(update, generator_loss=loss, discriminator_loss=discriminator_loss)
            yield

    @torch.no_grad()
    def draw(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        return self.ema(self._noise(num_images)).clamp(-1, 1)

    def state(self) -> dict[str, Any]:
        """Return the state that resuming needs."""
        parts = [self.generator, self.discriminator, self.ema, *self.optimizers]
        return {str(number): part.state_dict() for number, part in enumerate(parts)}

    def _noise(self, num_images: int) -> Tensor:
        """Draw z, and the further numbers of a generator with noise inputs."""
        size = self.setup.values["latent_dim"] + getattr(self.generator, "num_draws", 0)
        return torch.randn(num_images, size, device=self.setup.device)


class _Log:
    """File `losses.csv` in the current folder, with the losses of some updates.

    Args:
        setup: Setup of the program; a bare loop writes nothing.
    """

    def __init__(self, setup: Setup) -> None:
        self._is_bare, self._start = "bare" in setup.flags, time.time()

    def write(self, update: int, **losses: Tensor) -> None:
        """Write the losses () of each 20th update; read them from the device only then."""
        if self._is_bare or update % EVERY:
            return
        if update == 0:
            self._file = open("losses.csv", "w", newline="")  # noqa: SIM115, open to the end
            self._rows = csv.writer(self._file)
            self._rows.writerow(["update", "seconds", *losses])
        values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
        self._rows.writerow([update, time.time() - self._start, *values])
        self._file.flush()


def _averages(setup: Setup) -> bool:
    return setup.averages and "bare" not in setup.flags


def _batches(setup: Setup) -> Iterator[Tensor]:
    """Yield batches of float32 images in [-1, 1] without end, in a new order in each epoch."""
    images = torch.from_numpy(load_images(setup.images)).to(setup.device)
    layout = torch.channels_last if _has(setup, "channels_last") else torch.contiguous_format
    while True:
        order = torch.randperm(len(images), device=images.device)
        for indices in order.split(setup.batch_size):
            if len(indices) == setup.batch_size:
                batch = images.index_select(0, indices)  # 15 times faster than images[indices]
                batch = batch.to(torch.float32, memory_format=layout)
                yield batch.div_(127.5).sub_(1)


def _prepare(setup: Setup, network: nn.Module) -> None:
    network.to(setup.device)
    if _has(setup, "channels_last"):
        network.to(memory_format=torch.channels_last)
    if _has(setup, "compile"):
        for part in network.values() if isinstance(network, nn.ModuleDict) else [network]:
            part.compile()


def _adam(setup: Setup, network: nn.Module) -> torch.optim.Adam:
    fused = None if _has(setup, "plain") else True
    return torch.optim.Adam(network.parameters(), lr=setup.lr, betas=setup.betas, fused=fused)


def _has(setup: Setup, flag: str) -> bool:
    chosen = [each for each in setup.flags if each != "bare"]
    return flag in (chosen or DEFAULTS[setup.device])


def _decay(setup: Setup, update: int) -> float:
    """Return the decay of the weight average, which is smaller in early updates."""
    return min(0.5 ** (setup.batch_size / EMA_HALF_LIFE), (1 + update) / (10 + update))
