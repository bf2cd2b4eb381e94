"""The subject of an evaluation: images of a model or a folder, and real images to compare with."""

__all__ = ["BATCH", "Folder", "ModelSamples", "Subject"]

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.data.backgrounds import Colour, background_of
from limner.data.decode import read_picture, shape_of
from limner.data.module import ImageDataModule
from limner.data.sources import ImageFolder
from limner.data.store import MemoryStore, Store, open_store
from limner.errors import UserError
from limner.interfaces import Samples
from limner.metrics.evaluator import Evaluator, Score
from limner.metrics.feature_buffer import permutation
from limner.metrics.image_similarity import LPIPS
from limner.metrics.reference import Reference
from limner.metrics.statistics import ImagesAt
from limner.models.conditions import labels_at
from limner.pixels import to_uint8
from limner.pretrained.trained_model import TrainedModel
from limner.randomness import generator_for

BATCH = 100  # number of images in a batch if no score sets it


class ModelSamples:
    """The samples of a trained model; chunk c is a function of (seed, c), as during training."""

    def __init__(
        self, model: TrainedModel, *, num_images: int, batch_size: int, seed: int
    ) -> None:
        self.model, self.num_images = model, num_images
        self.batch_size, self.seed = batch_size, seed
        self.conditions: Callable[[int, int], dict[str, Tensor]] = lambda first, end: {}
        """Function from (first, end) to arguments of `sample`, such as the texts of samples."""

    def at(self, first: int, end: int) -> Tensor:
        """Return samples first to end - 1, uint8 (N, C, H, W); `first` starts a chunk."""
        generator = generator_for(self.seed, "scores", first // self.batch_size)
        conditions = self.conditions(first, end)
        return to_uint8(self.model.module.sample(end - first, generator=generator, **conditions))

    def chosen(self, num_images: int) -> ImagesAt:
        """Return a function from (first, end) to images of the first `num_images` samples."""
        return self.at

    def some(self, num_images: int) -> Tensor:
        """Return the first `num_images` samples."""
        ends = [*range(0, num_images, self.batch_size), num_images]
        return torch.cat([self.at(a, b) for a, b in itertools.pairwise(ends)]).cpu()

    def labelled(self) -> MemoryStore:
        """Draw equally many images of each class, in turn, and return them with their labels."""
        labels = torch.arange(self.num_images) % self.model.num_classes
        parts = []
        for chunk, part in enumerate(labels.split(self.batch_size)):
            generator = generator_for(self.seed, "labelled", chunk)
            images = self.model.module.sample(len(part), generator=generator, labels=part)
            parts.append(to_uint8(images).cpu())
        return MemoryStore(torch.cat(parts), labels, fingerprint="drawn")

    def about(self) -> dict[str, Any]:
        """Return the protocol entries of these images: weights, seed and update."""
        average = getattr(self.model.module, "ema", None)
        return {
            "weights": "raw" if average is None else "ema",
            "seed": self.seed,
            "update": self.model.update,
        }


class Folder:
    """The images below a folder or in a .zip file, in the shape of the real images.

    Args:
        path: Path of the folder or the .zip file.
        image_shape: Shape (C, H, W) of the real images.
        resized: Whether the user chose this shape. If not, images of other shapes are refused.
        background: Colour behind transparent pixels.
    """

    def __init__(
        self, path: str, *, image_shape: list[int], resized: bool, background: Colour
    ) -> None:
        pictures = ImageFolder(path=path).pictures()["train"]
        found = shape_of(read_picture(pictures, 0))
        if not resized and found != list(image_shape):
            raise UserError(
                f"generated={path}: the images are {_shape(found)}, but the reference images "
                f"are {_shape(image_shape)}. To resize both: image_shape=[{image_shape[0]},"
                f"{found[1]},{found[2]}]"
            )
        self.path, self.classes = Path(path), list(pictures.classes)
        self.store: Store = open_store(
            pictures, image_shape, kind="auto", memory_limit_gib=4.0, on_corrupt="error",
            background=background,
        )  # fmt: skip
        self.num_images = len(self.store)

    def at(self, first: int, end: int) -> Tensor:
        """Return images first to end - 1, uint8 (N, C, H, W)."""
        return self.store.gather(torch.arange(first, end))

    def chosen(self, num_images: int) -> ImagesAt:
        """Return a function from (first, end) to images of `num_images` that a shuffle chooses."""
        chosen = permutation(self.num_images)[:num_images].sort().values
        return lambda first, end: self.store.gather(chosen[first:end])

    def some(self, num_images: int) -> Tensor:
        """Return images spread over the whole folder, since they may be sorted by class."""
        return self.store.gather(_spread(self.num_images, num_images))

    def about(self) -> dict[str, Any]:
        """Return the protocol entries of these images: folder, fingerprint and background."""
        about = {"images": self.path.name, "fingerprint": self.store.fingerprint[:16]}
        return about | background_of(self.store)


@dataclass
class Subject:
    """Generated images, real images, and the network that compares them."""

    generated: ModelSamples | Folder
    data: ImageDataModule
    num_measured: int
    """Largest number of images of each set, for measures of single images."""
    seed: int
    lpips: LPIPS | None
    """Network of a learned pair score; None if the user has not chosen one."""
    device: torch.device
    folder: Path
    """Folder of the results."""
    evaluator: Evaluator | None = None
    """None to compare no images, with `metrics=none`; then the fields below have no values."""
    compare: Callable[..., dict[str, Score]] | None = None
    """Function that scores the generated images, see `limner.callbacks.scores.Scores.compare`."""
    references: dict[str, Reference] | None = None
    """Real images to compare with, by the ending of the names of the scores."""
    num_compared: int = 0
    """Number of generated images that are compared with them."""
    further: Callable[..., dict[str, Score]] | None = None
    """Function that gives further scores of a model, see `limner.callbacks.scores.Scores`."""

    @property
    def batch_size(self) -> int:
        """Number of images in a batch."""
        return BATCH if self.evaluator is None else self.evaluator.batch_size

    @property
    def model(self) -> TrainedModel | None:
        """The model that draws the generated images; None for a folder."""
        return self.generated.model if isinstance(self.generated, ModelSamples) else None

    @property
    def has_frames(self) -> bool:
        """Whether images are sequences of frames."""
        return getattr(self.data, "has_frames", False)

    @property
    def draws(self) -> bool:
        """Whether there are generated images; a VQ-VAE without a prior draws none."""
        return self.model is None or isinstance(self.model.module, Samples)

    def samples(self) -> Tensor:
        """Return at most `num_measured` generated images, uint8 (N, C, H, W)."""
        return self.generated.some(min(self.num_measured, self.generated.num_images))

    def real(self, split: str) -> Iterator[Tensor]:
        """Yield batches of uint8 real images of a split, at most `num_measured` images in all."""
        store, indices = self.data.split(split)
        for part in self._measured(indices).split(self.batch_size):
            yield store.gather(part)

    def labelled_batches(self, split: str) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the batches of `real(split)`, with the classes or texts that the model reads."""
        store, indices = self.data.split(split)
        module = None if self.model is None else self.model.module
        found = labels_at(module, store, self._measured(indices))
        labels = itertools.repeat(None) if found is None else found.split(self.batch_size)
        return zip(self.real(split), labels, strict=False)

    def labels(self, split: str) -> Tensor:
        """Return the int64 labels of the images of `real(split)`."""
        store, indices = self.data.split(split)
        return store.labels[self._measured(indices)]

    def _measured(self, indices: Tensor) -> Tensor:
        return indices[_spread(len(indices), min(self.num_measured, len(indices)))]

    def held_out(self) -> str | None:
        """Return the name of a split that was not used for training; None if there is none."""
        return next((n for n in ("test", "validation") if len(self.data.split(n)[1])), None)


def _spread(total: int, num: int) -> Tensor:
    return torch.linspace(0, total - 1, num).long()


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape))
