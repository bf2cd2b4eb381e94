"""Inference of codes for a batch of images by the networks of a VAE, and checks of its parts.

`network` holds the parts `encoder`, `decoder`, `likelihood` and `prior`.
"""

__all__ = [
    "Likelihood",
    "Objective",
    "Prior",
    "check_parts",
    "check_readable",
    "check_weight",
    "draw",
    "infer",
    "is_ladder",
    "is_recurrent",
    "log_likelihood",
    "paints",
]

from typing import Any, Protocol

from torch import Tensor, nn

from limner.errors import UserError
from limner.interfaces import Schedule, label_kwargs, trait
from limner.losses.objectives import PosteriorSample
from limner.pixels import to_float
from limner.processes import mean_over_processes, world_size


class Likelihood(Protocol):
    """Likelihood p(x | z), a module, see `limner.losses.likelihood`."""

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor: ...
    def mean(self, params: Tensor) -> Tensor: ...
    def check(self, images: Tensor) -> None: ...


class FindsVariance(Protocol):
    """A likelihood whose variance is fitted to each batch, see `OptimalGaussian`."""

    training: bool

    def log_prob(self, params: Tensor, images: Tensor, *, variance: Tensor | None) -> Tensor: ...
    def mean_square(self, params: Tensor, images: Tensor) -> Tensor: ...
    def follow(self, mean_square: Tensor, *, num_images: int) -> Tensor: ...


class Prior(Protocol):
    """Prior p(z), a module, see `limner.networks.priors`."""

    is_standard_normal: bool = False
    """Whether codes are drawn from N(0, I), so that nothing is learned."""
    uses_encoder: bool = False
    """Whether `given` reads the encoder."""

    def given(self, encoder: Any) -> Any: ...


class Objective(Protocol):
    """Objective to minimise, see `limner.losses.objectives`."""

    num_samples: int
    takes_kl_weight: bool
    num_layers: int | None
    is_variational: bool

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]: ...


def is_ladder(decoder: nn.Module) -> bool:
    """Return whether a decoder draws its codes in several layers or steps by a method `infer`.

    See `limner.networks.ladder` and `limner.networks.draw`.
    """
    return hasattr(decoder, "infer")


def is_recurrent(encoder: nn.Module) -> bool:
    """Return whether an encoder reads images again at each step, see `limner.networks.draw`."""
    return getattr(encoder, "is_recurrent", False)


def paints(decoder: nn.Module) -> bool:
    """Return whether a decoder paints an image in steps, see `limner.networks.draw`."""
    return hasattr(decoder, "paint")


def draw(
    network: nn.ModuleDict, images: Tensor, labels: Tensor | None, eps: Tensor
) -> PosteriorSample:
    """Draw codes of images (B, C, H, W) with noise `eps` (K, B, D); compute log-likelihoods."""
    params, z, mean, logvar = infer(network, images, labels, eps)
    repeated = images
    if len(eps) > 1:
        repeated = images.expand(len(eps), *images.shape).flatten(0, 1)
    log_prob = log_likelihood(network["likelihood"], params, repeated)
    prior = network["prior"].given(network["encoder"])
    return PosteriorSample(
        log_prob.unflatten(0, eps.shape[:2]), z, mean, logvar, eps, prior, network["decoder"]
    )


def log_likelihood(likelihood: Likelihood, params: Tensor, images: Tensor) -> Tensor:
    """Return log p(images | params) (B,).

    In training mode, a likelihood that fits its own variance is first updated by the batches of
    all processes together.
    """
    if not (likelihood.training and _finds_variance(type(likelihood))):
        return likelihood.log_prob(params, images)
    mean_square = mean_over_processes(likelihood.mean_square(params, images))
    variance = likelihood.follow(mean_square, num_images=len(images) * world_size())
    return likelihood.log_prob(params, images, variance=variance)


def _finds_variance(kind: type[Likelihood]) -> bool:
    """Return whether likelihoods of a class are a `FindsVariance`.

    `isinstance` is slow for protocols, and torch.compile warns about cached functions.
    """
    return all(hasattr(kind, name) for name in ("log_prob", "mean_square", "follow"))


def infer(
    network: nn.ModuleDict, images: Tensor, labels: Tensor | None, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the parameters (K B, ...) of p(x | z), then z, mean and logvar of q(z | x).

    z = mean + exp(logvar / 2) eps is (K, B, D). mean and logvar are (K, B, D), or (1, B, D) if
    they do not depend on the codes of other layers.
    """
    repeated = None if labels is None else labels.repeat(len(eps), *[1] * (labels.ndim - 1))
    if is_recurrent(network["encoder"]):
        images = images.expand(len(eps), *images.shape).flatten(0, 1)
        reading = network["encoder"](images, **label_kwargs(repeated))
        params, *found = network["decoder"].infer(reading, eps.flatten(0, 1), repeated)
        return params, *(part.unflatten(0, eps.shape[:2]) for part in found)
    encoded = network["encoder"](images, **label_kwargs(labels))
    if is_ladder(network["decoder"]):
        maps = [part.expand(len(eps), *part.shape).flatten(0, 1) for part in encoded]
        params, *found = network["decoder"].infer(maps, eps.flatten(0, 1), repeated)
        return params, *(part.unflatten(0, eps.shape[:2]) for part in found)
    mean, logvar = (part.unsqueeze(0) for part in encoded)
    z = mean + (logvar / 2).exp() * eps
    params = network["decoder"](z.flatten(0, 1), **label_kwargs(repeated))
    return params, z, mean, logvar


def check_readable(likelihood: Likelihood, data: Any) -> None:
    """Raise UserError if the images of limner's data module are outside the likelihood's range."""
    if not hasattr(data, "split"):
        return  # the batches come from the user's own loaders
    store, indices = data.split("train")
    try:
        likelihood.check(to_float(store.gather(indices[:64])))
    except ValueError as error:
        raise UserError(str(error)) from error


def check_weight(objective: Objective, weight: float, schedule: Schedule | None) -> None:
    """Raise ValueError for a KL weight that the objective does not support."""
    if weight < 0:
        raise ValueError(f"model.kl_weight={weight}: must be 0 or more.")
    if not objective.takes_kl_weight and (weight != 1 or schedule is not None):
        raise ValueError(
            f"model.kl_weight={weight}: the bound of {type(objective).__name__} does not "
            "support a KL weight or a KL schedule. Choose model/objective=elbo, or "
            "model.kl_weight=1 model/kl_schedule=none."
        )


def check_parts(
    decoder: nn.Module,
    prior: Prior,
    objective: Objective,
    latent_dim: int | None,
    *,
    is_conditional: bool,
) -> None:
    """Raise ValueError for parts that do not fit together."""
    if is_ladder(decoder) and latent_dim is not None:
        raise ValueError(
            f"model.latent_dim={latent_dim}: must be null, since the layers of a ladder or the "
            "steps of DRAW\ndetermine it: choose model=ladder_vae or model=draw, or "
            "model.latent_dim=null."
        )
    if not is_ladder(decoder) and latent_dim is None:
        raise ValueError("model.latent_dim=null: must be a number for this decoder.")
    if is_ladder(decoder) and (
        objective.num_layers == 1 or not trait(prior, Prior, "is_standard_normal")
    ):
        raise ValueError(
            "A ladder or DRAW has codes of several layers or steps, each with its own prior. "
            "Choose model/objective=elbo or iwae, and model/prior=standard_normal."
        )
    if hasattr(prior, "set"):
        raise ValueError(
            f"A {type(prior).__name__} is fitted to the codes of a trained model: choose "
            "model=latent_prior model.first_stage=RUN. To learn a prior together with a VAE, "
            "choose model/prior=mixture."
        )
    if is_conditional and trait(prior, Prior, "uses_encoder"):
        raise ValueError(
            f"A {type(prior).__name__} encodes images without a class or text, so it does "
            "not fit model/condition=concat: choose another model/prior, such as flow."
        )
