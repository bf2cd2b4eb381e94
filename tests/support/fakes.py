"""Small files of random pixels in the formats of real data sets."""

import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import scipy.io
import torch
from lightning.pytorch.loggers.logger import Logger
from PIL import Image

from limner.interfaces import Features

TRAIN, TEST = 48, 16


def images(folder: Path, num_images: int, *, size=(8, 8), classes=0, mode="RGB") -> Path:
    """Write PNG files, in class folders if `classes` is not 0."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    random = np.random.default_rng(0)
    for i in range(num_images):
        into = folder / f"class_{i % classes}" if classes else folder
        into.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
        Image.fromarray(pixels).save(into / f"{i:04d}.png")
    return folder


def captioned(folder: Path, num_images: int, *, size=(8, 8)) -> Path:
    """Write PNG files, and a metadata.csv with a caption of each."""
    names = [path.name for path in sorted(images(folder, num_images, size=size).iterdir())]
    rows = [f"{name},a picture of number {i % 7}" for i, name in enumerate(names)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *rows]))
    return folder


def zipped(folder: Path) -> Path:
    """Write the folder as a .zip file beside it."""
    return Path(shutil.make_archive(str(folder), "zip", folder))


def mnist(root: Path, name: str = "MNIST") -> Path:
    """Write the four idx files of MNIST or Fashion-MNIST."""
    folder = root / name / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for prefix, count in (("train", TRAIN), ("t10k", TEST)):
        header = np.array([0x803, count, 28, 28], ">i4").tobytes()
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8).tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels)
        labels = np.arange(count, dtype=np.uint8) % 10
        header = np.array([0x801, count], ">i4").tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return root


def cifar(root: Path, num_classes: int) -> Path:
    """Write the pickled batches of CIFAR-10 or CIFAR-100."""
    ten = num_classes == 10
    folder = root / ("cifar-10-batches-py" if ten else "cifar-100-python")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    parts = {f"data_batch_{i}": 20 for i in range(1, 6)} | {"test_batch": TEST}
    for part, count in (parts if ten else {"train": 100, "test": TEST}).items():
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [i % num_classes for i in range(count)]
        content = {"data": data, "labels" if ten else "fine_labels": labels}
        (folder / part).write_bytes(pickle.dumps(content))
    names = [f"class {i}" for i in range(num_classes)]
    meta = {"label_names": names} if ten else {"fine_label_names": names}
    (folder / ("batches.meta" if ten else "meta")).write_bytes(pickle.dumps(meta))
    return root


def svhn(root: Path) -> Path:
    """Write the two .mat files of SVHN, in which the digit 0 has the label 10."""
    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("test", TEST)):
        pixels = random.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        scipy.io.savemat(root / f"{split}_32x32.mat", {"X": pixels, "y": labels})
    return root


def celeba(root: Path) -> Path:
    """Write the pictures and lists of CelebA, 178x218 pixels."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    names = [f"{i:06d}.jpg" for i in range(1, TRAIN + TEST + 9)]
    split = [0] * TRAIN + [1] * 8 + [2] * TEST
    for name in names:
        pixels = random.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name)
    rows = {"identity_CelebA": [1], "list_bbox_celeba": [0] * 4, "list_attr_celeba": [1] * 40}
    rows["list_landmarks_align_celeba"] = [0] * 10
    for file, row in rows.items():
        header = file != "identity_CelebA"
        lines = [str(len(names)), " ".join(["column"] * len(row))] if header else []
        lines += [" ".join([name, *map(str, row)]) for name in names]
        (folder / f"{file}.txt").write_text("\n".join(lines) + "\n")
    lines = [f"{name} {part}" for name, part in zip(names, split, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return root


def imagenet(root: Path) -> Path:
    """Write two classes in torchvision's layout."""
    images(root / "train", 40, size=(40, 50), classes=2)
    images(root / "val", 10, size=(50, 40), classes=2)
    return root


class PixelFeatures:
    """A small feature network: fixed random projections of the pixels."""

    suffix, num_features, num_logits = "_pixels", 6, 5

    def __init__(self, image_size: int = 16) -> None:
        self.num_seen = 0
        generator = torch.Generator().manual_seed(0)
        size = self.num_features + self.num_logits
        self.projection = torch.randn(image_size, size, generator=generator) / 100

    def prepare(self, real) -> None:
        """Do nothing; there is nothing to load."""

    def to(self, device):
        """Return self; the network stays on the CPU."""
        return self

    def __call__(self, images):
        self.num_seen += len(images)
        seen = images.flatten(1).float() @ self.projection
        return Features(*seen.split([self.num_features, self.num_logits], dim=1))

    def protocol(self):
        """Return a protocol like that of a real feature network."""
        return {"feature_network": "pixels", "weights_sha256": "0", "resize": "none"}


class SlowFeatures(PixelFeatures):
    """A feature network that takes time, and adds a line to the file `scoring` for each batch.

    Args:
        seconds: Seconds for each batch.
    """

    def __init__(self, *, seconds: float) -> None:
        super().__init__(image_size=64)
        self.seconds = seconds

    def __call__(self, images):
        with open("scoring", "a") as file:
            file.write("a batch\n")
        time.sleep(self.seconds)
        return super().__call__(images)


class Store:
    """An image store of random pixels whose brightness grows with their number."""

    labels = None

    def __init__(self, num_images: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randint(0, 200, (num_images, 1, 4, 4), generator=generator)
        ramp = torch.linspace(0, 55, num_images).long()[:, None, None, None]
        self.images = (noise + ramp).to(torch.uint8)
        self.fingerprint = f"fake {num_images} {seed}"

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices):
        """Return the images at `indices`."""
        return self.images[indices]


class BrokenLogger(Logger):
    """A logger whose network connection fails."""

    name, version = "broken", ""

    def __init__(self) -> None:
        super().__init__()
        self.num_calls = 0

    @property
    def experiment(self):
        """Open a connection."""
        return self._fail()

    def log_metrics(self, metrics, step=None):
        self._fail()

    def log_hyperparams(self, params, *args, **kwargs):
        self._fail()

    def save(self):
        self._fail()

    def _fail(self):
        self.num_calls += 1
        raise ConnectionError("no network")


class Stumbling(torch.optim.Adam):
    """An optimizer that makes a weight infinite in its 30th step, once in a process."""

    num_steps = 0

    def step(self, closure=None):
        found = super().step(closure)
        Stumbling.num_steps += 1
        if Stumbling.num_steps == 30:
            self.param_groups[0]["params"][0].data[0] = float("inf")
        return found
