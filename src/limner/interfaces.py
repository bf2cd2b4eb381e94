"""Protocols between the parts of limner: all that a part may assume of another part.

A model knows a batch, an optimizer factory and its networks. A score knows a model that samples
and a set of real images. No part knows the classes of the others.

A part of your own is a class with the methods of its protocol; it need not inherit from it. An
attribute with a value here may be left out. Further protocols are in `limner.data.sources`,
`limner.losses.bounds`, `limner.losses.penalty`, and in `limner.models`: `.variational`,
`.image_to_image` and `.style_generator`. What a network takes and returns is stated by its model:
`limner.models.gan`, `limner.models.vae`, `limner.models.vaegan`.
"""

__all__ = [
    "AdversarialLoss", "Augmentation", "AuxiliaryLoss", "Batch", "Completes",
    "DiscriminatorObserver", "DiscriminatorStatistics", "DrawsCodes", "Encodes",
    "FeatureExtractor", "Features", "Generates", "ImageStore", "OptimizerFactory", "RealImages",
    "Reconstructs", "Samples", "Schedule", "label_kwargs", "missing_members", "reference_view",
    "trait",
]  # fmt: skip

from collections.abc import Iterable
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, runtime_checkable

from torch import Generator, Tensor, device
from torch.nn import Parameter
from torch.optim import Optimizer


class Batch(TypedDict):
    """A batch of a data module."""

    image: Tensor
    """Images float32 (B, C, H, W) in [-1, 1]."""
    label: NotRequired[Tensor]
    """Classes int64 (B,) in [0, num_classes); absent if the data have no labels."""
    text: NotRequired[Tensor]
    """Captions int64 (B, L), see `limner.data.vocabulary`; absent if the data have no captions."""
    frames: NotRequired[Tensor]
    """Frames of each sequence float32 (B, T, C, H, W) in [-1, 1]; such a batch has no `image`."""
    input: NotRequired[Tensor]
    """What a model reads to make `image`, (B, C, H / data.scale, W / data.scale), not clipped.
    Several views of the image are (B, N, C, H / data.scale, W / data.scale)."""
    mask: NotRequired[Tensor]
    """(B, 1, H, W): 1 where a pixel of `input` is known, 0 in a hole."""
    index: NotRequired[Tensor]
    """Number of each whole picture in its split of the source, int64 (B,)."""
    weight: NotRequired[Tensor]
    """Weight of each whole picture in a mean, float32 (B,): 1, or 0 for a repeated picture."""
    features: NotRequired[Tensor]
    """Features float32 (B, F) that a frozen network has of the images, if they are known."""


class Augmentation(Protocol):
    """A pure function that changes each image by random numbers that the caller draws.

    An augmentation of a GAN must be differentiable with respect to the images.
    """

    num_draws: int = 0
    """Number of random numbers per image."""

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W), by `uniform` (B, num_draws) from U[0, 1)."""


class AdversarialLoss(Protocol):
    """The losses of both players of a GAN per pair of images, see `limner.losses.adversarial`.

    Logits are large for images that the discriminator D takes for real. If D has K heads, logits
    and losses are (B, K) instead of (B,).
    """

    needs_lipschitz: bool = False
    """Whether the loss is meaningful only with a penalty."""
    relativistic: bool = False
    """Whether `generator` reads the logits of real images."""
    threshold: float | None = None
    """Logit above which D takes an image for real, for logs; None if only differences count."""

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return G's losses (B,); `real_logits` is None unless the loss is `relativistic`."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return D's losses (B,) from its logits (B,) for real and for generated images."""


class AuxiliaryLoss(Protocol):
    """Losses of classes (`limner.losses.auxiliary`) or texts (`.matching`) of both players."""

    def generator(self, fake_logits: Any, *, labels: Tensor) -> Any:
        """Return G's losses (B,), or several by name, from D's class logits (B, K) for fakes."""

    def discriminator(self, real_logits: Any, fake_logits: Any, *, labels: Tensor) -> Any:
        """Return D's losses (B,), or several by name, from its class logits (B, K) for both."""


class DiscriminatorStatistics(NamedTuple):
    """Statistics of one step of D, over all micro-batches and processes."""

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
    """A part that adapts to D's statistics, such as ADA or the LeCam penalty."""

    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Adapt to D's step number `step`, counted from 0, on `num_images` real images."""


class Schedule(Protocol):
    """A number that changes over training, see `limner.schedules`."""

    def __call__(self, update: int) -> float:
        """Return the number for the update that follows `update` completed updates."""


class OptimizerFactory(Protocol):
    """A function that makes an optimizer; keywords such as `lr=1e-4` replace configured values."""

    def __call__(self, params: Iterable[Parameter], **overrides: Any) -> Optimizer: ...


@runtime_checkable
class Samples(Protocol):
    """A model that draws images."""

    num_classes: int | None
    """Number of classes; None for an unconditional model."""

    def sample(
        self, num_images: int, *, generator: Generator | None, labels: Tensor | None = None
    ) -> Tensor:
        """Return images (num_images, C, H, W) in [-1, 1], with the EMA weights if there are any.

        Args:
            num_images: Number of images.
            generator: Source of all random numbers.
            labels: Classes int64 (num_images,). None draws the classes of a conditional model
                uniformly from the same generator.
        """


@runtime_checkable
class Generates(Protocol):
    """A model whose images are a function of a latent code: z ~ N(0, I), or see `DrawsCodes`."""

    latent_dim: int

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of codes (B, latent_dim), with the EMA weights.

        A conditional model needs labels int64 (B,).
        """


@runtime_checkable
class DrawsCodes(Protocol):
    """A model that samples its latent codes from a learned distribution."""

    def sample_codes(self, num_codes: int, *, generator: Generator | None) -> Tensor:
        """Return codes (num_codes, latent_dim), with the EMA weights if there are any."""


@runtime_checkable
class Encodes(Protocol):
    """A model that maps an image to its latent code."""

    def encode(self, images: Tensor) -> Tensor:
        """Return codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""


@runtime_checkable
class Reconstructs(Protocol):
    """A model that encodes and decodes an image."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return reconstructions (B, C, H, W) in [-1, 1] of images of this shape and range."""


@runtime_checkable
class Completes(Protocol):
    """A model that draws the rest of an image whose first rows are given."""

    def complete(
        self, start: Tensor, *, generator: Generator | None, labels: Tensor | None = None
    ) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] whose first h rows are `start` (B, C, h, W)."""


def trait(part: object, protocol: type, name: str) -> Any:
    """Return an attribute of a part; the protocol's value if the part has no such attribute."""
    return getattr(part, name, getattr(protocol, name))


def reference_view(num_views: int) -> int:
    """Return the number of the view that shows the target: view 1 of 3, and view 0 of 2."""
    return (num_views - 1) // 2


def missing_members(part: object, protocol: type) -> list[str]:
    """Return the missing members of a part: `name()` for a method, `name` for an attribute.

    For a class, only methods are checked: its constructor may set the attributes.
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


class ImageStore(Protocol):
    """Decoded images of one size behind an index."""

    fingerprint: str
    """Text that changes whenever the images or their order change."""
    labels: Tensor | None
    """Classes int64 (N,), or None without labels."""
    texts: Tensor | None = None
    """Tokens int64 (N, L) of the caption of each image, or None without captions."""

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> Tensor:
        """Return the images uint8 (B, C, H, W) at `indices` int64 (B,)."""


class RealImages(Protocol):
    """The real images that scores compare with."""

    name: str
    image_shape: list[int]
    num_classes: int

    def reference(self, split: str) -> tuple[ImageStore, Tensor]:
        """Return the published "train" or "test" split: a store, and indices (N,) in it."""

    def split(self, name: str) -> tuple[ImageStore, Tensor]:
        """Return this run's "train", "validation" or "test" split: a store and indices."""

    def originals(self, name: str) -> tuple[ImageStore, Tensor]:
        """Return the images of a split without binarisation: a store and indices."""


class Features(NamedTuple):
    """Output of a feature network for a batch of images."""

    features: Tensor
    """Features float32 (B, D), whose distributions are compared."""
    logits: Tensor
    """Class logits float32 (B, K)."""


class FeatureExtractor(Protocol):
    """A network whose features compare generated with real images.

    limner caches the statistics of the real images. The key of the cache contains `protocol()`,
    and for a class outside limner the name of the class and a hash of its Python file. All else
    that changes features must be in `protocol()`: arguments, files of weights, other modules.
    """

    suffix: str
    """End of each score's name: `_ink` gives `val/fid_ink`. Inception has the empty suffix."""
    num_features: int
    """Size D of the features."""
    num_logits: int
    """Number K of class logits."""

    def prepare(self, real: RealImages) -> None:
        """Load or train the weights; raise `UserError` if this is impossible."""

    def to(self, device: device) -> "FeatureExtractor":
        """Move the network to a device, and return it."""

    def __call__(self, images: Tensor) -> Features:
        """Return features and logits of uint8 images (B, C, H, W)."""

    def protocol(self) -> dict[str, Any]:
        """Return the facts that make scores comparable as JSON data: name, weights, resize."""
