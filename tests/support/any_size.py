"""A feature network for pictures of any size, and two domains of pictures, for scores."""

from types import SimpleNamespace

import torch
from torch.nn.functional import adaptive_avg_pool2d

from limner.interfaces import Features
from limner.metrics.set_distances import SetDistances
from limner.pixels import to_uint8
from support.picture_pairs import smooth


class AnySizeFeatures:
    """Features of a picture of any size: the mean colours of 4 x 4 parts."""

    suffix, num_features, num_logits = "_any", 48, 1

    def __init__(self):
        self.num_seen = self.num_calls = 0

    def prepare(self, real):
        """Do nothing; there is nothing to load."""

    def to(self, device):
        """Return self; the network has no weights."""
        return self

    def __call__(self, images):
        self.num_seen += len(images)
        self.num_calls += 1
        pooled = adaptive_avg_pool2d(images.float().expand(-1, 3, -1, -1) / 64 - 2, 4)
        return Features(pooled.flatten(1), torch.zeros(len(images), 1))

    def protocol(self):
        """Return a protocol like that of a real feature network."""
        return {"feature_network": "any size", "weights_sha256": "0"}


def distances(**changes):
    """Return FID and KID of `AnySizeFeatures`."""
    return SetDistances(**{
        "features": AnySizeFeatures(), "scores": ["fid", "kid"], "kid_num_subsets": 3,
        "kid_subset_size": "auto",
    } | changes)  # fmt: skip


class FakeDomains:
    """Two domains of smooth pictures; domain B is domain A with dark and bright exchanged.

    Args:
        num_a: Number of validation pictures of domain A.
        num_b: Number of validation pictures of domain B.
        hidden_pairs: Whether picture i of B is made of picture i of A; else of another picture.
    """

    name, image_shape, input_shape, split_seed, num_classes = (
        "fakes",
        [3, 16, 16],
        [3, 16, 16],
        0,
        0,
    )

    def __init__(self, num_a=4, num_b=4, *, hidden_pairs=True):
        self.numbers = {"a": num_a, "b": num_b}
        self.hidden_pairs = hidden_pairs

    def picture(self, letter, i):
        """Return picture number i of a domain, uint8 (3, 16, 20)."""
        shift = 0 if self.hidden_pairs or letter == "a" else 100
        made = smooth(16, 20, seed=i + shift) * 0.6 + 0.3
        return to_uint8(made if letter == "a" else -made)

    def pictures(self, letter, split):
        """Return a store and the numbers of the pictures; training pictures follow."""
        num = self.numbers[letter]
        numbers = torch.arange(num) if split == "validation" else torch.arange(num, 3 * num)
        if split == "test":
            numbers = numbers[:0]
        store = SimpleNamespace(
            fingerprint=f"domain {letter}", sizes=torch.tensor([[16, 20]] * 3 * num),
            picture=lambda i: self.picture(letter, i),
        )  # fmt: skip
        return store, numbers

    def whole_pictures(self, split, *, device):
        """Yield batches of a picture of each domain; the shorter domain repeats."""
        indices = {letter: self.pictures(letter, split)[1].tolist() for letter in "ab"}
        for k in range(max(map(len, indices.values()))):
            batch = {"is_pair": self.hidden_pairs}
            for letter, numbers in indices.items():
                picture = self.picture(letter, numbers[k % len(numbers)])
                batch[f"image_{letter}"] = picture[None].float() / 127.5 - 1
                batch[f"weight_{letter}"] = torch.tensor([float(k < len(numbers))])
            yield batch

    def protocol(self):
        """Return how the pictures are compared."""
        return {"hidden_pairs": self.hidden_pairs}


def batches(data):
    """Return all validation batches of two domains."""
    return list(data.whole_pictures("validation", device=torch.device("cpu")))


def outputs_of(batch, to_b=lambda x: -x, to_a=lambda x: -x):
    """Return the outputs of a model; by default a perfect model of `FakeDomains`."""
    a, b = batch["image_a"], batch["image_b"]
    made = {"output_b": to_b(a), "output_a": to_a(b)}
    made |= {"cycle_a": to_a(made["output_b"]), "cycle_b": to_b(made["output_a"])}
    return made | {"identity_a": to_a(a), "identity_b": to_b(b)}
