"""Penalties that are added to a generator's loss in its step."""

__all__ = ["GeneratorPenalties"]

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from limner.losses.penalty import Penalties
from limner.models.adversarial_inputs import Inputs
from limner.models.text import TextGenerator
from limner.processes import from_all_processes

if TYPE_CHECKING:
    from limner.models.gan import GAN

log = logging.getLogger(__name__)


class GeneratorPenalties:
    """Penalties of a style generator, such as the path length.

        penalties.begin(model, inputs)
        for part in micro_batches(...):
            values = penalties(part)
        penalties.finish()

    A value that is not finite, which happens in half precision, is left out of its step: the
    value 0 takes its place, and the user gets one warning.

    Args:
        generator: Generator of the model; a `StyleGenerator`, or one behind an encoder of texts.
        penalties: Penalties of both players; the penalties of D are not used here.
    """

    def __init__(self, generator: nn.Module, penalties: Penalties) -> None:
        self.generator, self.penalties = generator, penalties
        self._factors: dict[str, float] = {}
        self._normal: list[Tensor] = []
        self._seen: dict[str, list[Tensor]] = {}
        self._said = False

    def begin(self, model: "GAN", inputs: Inputs) -> None:
        """Draw the random numbers of G's step of a model, on all its micro-batches."""
        self._factors = self.penalties.generator_factors(model.global_step)
        self._seen = {}
        if self._factors:
            normal = model.noise.normal(inputs.real, *inputs.real.shape[1:])
            self._normal = list(normal.chunk(model.gradients.accumulate))

    def __call__(self, part: Inputs) -> dict[str, Tensor]:
        """Return the weighted means () of the penalties that are due, for a micro-batch."""
        if not self._factors:
            return {}
        means = {}
        for name, (value, seen) in self.values(part, self._normal.pop(0), self._factors).items():
            if not torch.isfinite(value):
                value, seen = torch.zeros_like(value.detach()), torch.full_like(seen, torch.nan)
                self._warn(name)
            self._seen.setdefault(name, []).append(seen)
            means[f"penalty_{name}"] = value
        return means

    def values(
        self, part: Inputs, normal: Tensor, factors: dict[str, float]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the weighted mean () of each penalty, and what it observes (B,), by name."""
        found = {}
        for name, factor in factors.items():
            function = self.penalties[name].function
            num = -(-len(part.z) // function.shrink)
            network, z, labels = self.generator, part.z[:num], part.labels
            labels = None if labels is None else labels[:num]
            if isinstance(network, TextGenerator):
                network, (z, labels) = network.network, network.read(z, labels)
            w = network.styles(z[:, : network.latent_dim], labels)
            noise = z[:, network.latent_dim :][:, : network.num_noise]
            value, seen = function(lambda w, n=network, e=noise: n.paint(w, e), w, normal[:num])
            found[name] = factor * value.mean(), seen
        return found

    def finish(self) -> None:
        """Pass what the penalties observe, of all micro-batches and processes, to them."""
        for name, parts in self._seen.items():
            seen = from_all_processes(torch.cat(parts))
            if len(finite := seen[seen.isfinite()]) > 0:
                self.penalties[name].function.observe(finite)

    def _warn(self, name: str) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "model/penalty=%s is not finite in this step, which is trained without the "
                "penalty. Further such steps follow without a new warning.",
                name,
            )
