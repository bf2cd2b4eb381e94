"""What the parts of limner may assume of one another, and nothing more.

A model knows a batch, an optimizer factory and its networks; a score knows something that samples
and a set of real images. None of them knows the classes of the others.

A part of your own is a class with the methods of its protocol; it need not inherit from it. An
attribute with a value here may be left out. Sources of pictures have their protocol in
`limner.data.sources`, penalties in `limner.losses.penalty`, the parts of a VAE in
`limner.models.variational`. Networks are `torch.nn.Module`s, see the model's docstring.
"""

__all__ = [
    "AdversarialLoss",
    "Augmentation",
    "AuxiliaryLoss",
    "Batch",
    "DiscriminatorObserver",
    "DiscriminatorStatistics",
    "DrawsCodes",
    "Encodes",
    "FeatureExtractor",
    "Features",
    "Generates",
    "ImageStore",
    "LatentVariables",
    "LogWeights",
    "OptimizerFactory",
    "RealImages",
    "Reconstructs",
    "Samples",
    "Schedule",
    "label_kwargs",
    "missing_members",
    "trait",
]

from collections.abc import Iterable
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, runtime_checkable

from torch import Generator, Tensor, device
from torch.nn import Parameter
from torch.optim import Optimizer


class Batch(TypedDict):
    """What a data module yields."""

    image: Tensor
    """float32 (B, C, H, W) in [-1, 1]."""
    label: NotRequired[Tensor]
    """int64 (B,) in [0, num_classes); absent where the data has no labels."""


class Augmentation(Protocol):
    """A pure function that changes each image by random numbers that the caller draws.

    Differentiable where the images are.
    """

    num_draws: int = 0
    """Random numbers needed per image."""

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W), by `uniform` (B, num_draws) from U[0, 1)."""


class AdversarialLoss(Protocol):
    """What each player of a GAN minimises per pair of images, see `limner.losses.adversarial`.

    Logits are large for images that the discriminator D takes for real.
    """

    needs_lipschitz: bool = False
    """Whether the loss means nothing without a penalty."""
    relativistic: bool = False
    """Whether `generator` reads the logits of real images."""
    threshold: float | None = None
    """Logit above which D takes an image for real, for logs; None if only differences count."""

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return G's losses (B,) of D's logits (B,); without `relativistic`, the real are None."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the losses (B,) of D, of its logits (B,) for real and for generated images."""


class AuxiliaryLoss(Protocol):
    """What each player minimises for D's class logits (B, K), see `limner.losses.auxiliary`."""

    def generator(self, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        """Return G's losses (B,)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        """Return D's losses (B,)."""


class DiscriminatorStatistics(NamedTuple):
    """What D made of the images of one of its steps, over all micro-batches and processes."""

    logits_real: Tensor
    """Mean logit of real images, ()."""
    logits_fake: Tensor
    """Mean logit of fake images, ()."""
    accuracy_real: Tensor
    """Share of the real images that D takes for real, () in [0, 1]."""
    accuracy_fake: Tensor
    """Share of the fake images that D takes for fake, () in [0, 1]."""


@runtime_checkable
class DiscriminatorObserver(Protocol):
    """A part whose state follows D's statistics: an adaptive augmentation, a LeCam penalty."""

    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Follow D's step number `step`, from 0, on `num_images` real images."""


class Schedule(Protocol):
    """A number that changes over training, see `limner.schedules`."""

    def __call__(self, update: int) -> float:
        """Return the number for an update; `update` counts the updates before it."""


class OptimizerFactory(Protocol):
    """Makes an optimizer; keywords replace configured values, e.g. `factory(params, lr=1e-4)`."""

    def __call__(self, params: Iterable[Parameter], **overrides: Any) -> Optimizer: ...


@runtime_checkable
class Samples(Protocol):
    """A model that draws images."""

    num_classes: int | None
    """How many classes it can be told to draw; None for an unconditional model."""

    def sample(
        self, num_images: int, *, generator: Generator | None, labels: Tensor | None = None
    ) -> Tensor:
        """Images (num_images, C, H, W) in [-1, 1], by the EMA weights where there are any.

        Args:
            num_images: How many.
            generator: Of all random numbers.
            labels: int64 (num_images,) in [0, num_classes); None for classes that are drawn
                uniformly, from the same generator, or for an unconditional model.
        """


@runtime_checkable
class Generates(Protocol):
    """A model whose images are a function of a latent code: z ~ N(0, I), or see `DrawsCodes`."""

    latent_dim: int

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of codes (B, latent_dim), by the EMA weights if any.

        A conditional model needs labels, int64 (B,).
        """


@runtime_checkable
class DrawsCodes(Protocol):
    """A model whose latent codes have a distribution of its own."""

    def sample_codes(self, num_codes: int, *, generator: Generator | None) -> Tensor:
        """Codes (num_codes, latent_dim), by the EMA weights where there are any."""


@runtime_checkable
class Encodes(Protocol):
    """A model that finds the latent code of an image."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""


@runtime_checkable
class Reconstructs(Protocol):
    """A model that codes an image and decodes it again."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstructions (B, C, H, W) in [-1, 1] of images of the same shape and range."""


def trait(part: object, protocol: type, name: str) -> Any:
    """Return an attribute of a part; the protocol's value if the part has no such attribute."""
    return getattr(part, name, getattr(protocol, name))


def missing_members(part: object, protocol: type) -> list[str]:
    """Return what a part lacks of a protocol: `name()` for a method, `name` for an attribute.

    Of a class only the methods are asked for: attributes may be set when an object is made.
    """
    is_class = isinstance(part, type)
    found = {name for kind in (part if is_class else type(part)).__mro__ for name in vars(kind)}
    found |= getattr(part, "__dict__", {}).keys()
    kinds = [kind for kind in protocol.__mro__[::-1] if getattr(kind, "_is_protocol", False)]
    members = {name: value for kind in kinds for name, value in vars(kind).items()}
    public = [name for name in members if name in ("__call__", "__len__") or name[0] != "_"]
    missing = [f"{name}()" for name in public if callable(members[name]) and name not in found]
    names = [name for kind in kinds for name in vars(kind).get("__annotations__", {})]
    needed = [] if is_class else [name for name in names if name not in members.keys() | found]
    return missing + needed


def label_kwargs(labels: Tensor | None) -> dict[str, Tensor]:
    """Return the keyword argument that gives a network or model the classes (B,), if any.

    A network or model without classes need not have a parameter `labels`.
    """
    return {} if labels is None else {"labels": labels}


class LogWeights(NamedTuple):
    """The two parts of log p(x|z) + log p(z) - log q(z|x) of K codes for each of B images."""

    reconstruction: Tensor
    """(K, B): log p(x | z), in nats."""
    kl: Tensor
    """(K, B): log q(z | x) - log p(z), whose mean over codes is the KL divergence, in nats."""


@runtime_checkable
class LatentVariables(Protocol):
    """A model p(x | z) p(z) with an approximate posterior q(z | x), which bounds log p(x)."""

    def encode(self, images: Tensor) -> Tensor:
        """Mean codes E_q(z|x)[z] (B, D) of images (B, C, H, W) in [-1, 1]."""

    def log_weights(
        self, images: Tensor, *, num_samples: int, generator: Generator | None
    ) -> LogWeights:
        """Of `num_samples` codes from q(z | x) for each image."""


class ImageStore(Protocol):
    """Decoded images of one size behind an index."""

    fingerprint: str
    """Changes whenever the images or their order change."""
    labels: Tensor | None
    """int64 (N,), or None without labels."""

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> Tensor:
        """uint8 (B, C, H, W) of the images at int64 `indices` (B,)."""


class RealImages(Protocol):
    """The real images that scores compare with."""

    name: str
    image_shape: list[int]
    num_classes: int

    def reference(self, split: str) -> tuple[ImageStore, Tensor]:
        """What the data's makers call "train" or "test": a store, and indices (N,) in it."""

    def split(self, name: str) -> tuple[ImageStore, Tensor]:
        """What this run uses as "train", "validation" or "test", likewise."""

    def originals(self, name: str) -> tuple[ImageStore, Tensor]:
        """As `split`; not binarised where the run's images are."""


class Features(NamedTuple):
    """What a feature network sees in a batch of images."""

    features: Tensor
    """float32 (B, D): the space in which distributions are compared."""
    logits: Tensor
    """float32 (B, K): unnormalised class log-probabilities."""


class FeatureExtractor(Protocol):
    """The network in whose features generated and real images are compared."""

    suffix: str
    """Ends the name of every score, so that scores of two networks never share a name."""
    num_features: int
    """D."""
    num_logits: int
    """K."""

    def prepare(self, real: RealImages) -> None:
        """Loads or trains the weights. Raises `UserError` where that is impossible."""

    def to(self, device: device) -> "FeatureExtractor":
        """Moves the network, and returns itself."""

    def __call__(self, images: Tensor) -> Features:
        """Features of uint8 images (B, C, H, W)."""

    def protocol(self) -> dict[str, Any]:
        """What a reader must know of the network to compare scores: name, weights, resize."""
