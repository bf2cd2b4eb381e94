"""Splits of two domains: each domain for itself, or the same pictures held out of both.

Hidden pairs are pictures of both domains that show the same thing under the same name. They are
held out of the training pictures of both domains, so that the results of a model that never saw a
pair can be compared with the true partner.
"""

__all__ = [
    "DomainSplits", "cut_domains", "cut_hidden_pairs", "keys_of", "refuse_pairs_of_two_sizes",
]  # fmt: skip

import collections
import os.path
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

from limner.data.picture_store import PictureStore
from limner.data.splits import at_least_one, cut, group_keys
from limner.errors import UserError
from limner.files.pictures import SUFFIXES
from limner.files.printable import printable

DomainSplits = dict[str, dict[str, tuple[str, Tensor]]]
"""For each domain, and each of "train", "validation" and "test": the source's split that contains
the pictures, and their int64 numbers there."""
HELD_OUT = ("validation", "test")
NUM_SHOWN = 3


Keys = Mapping[str, Mapping[str, Sequence[str]]]
"""For each domain and each split of the source, the key of each picture, see `keys_of`."""


def cut_domains(
    keys: Keys,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    group: str | None,
) -> DomainSplits:
    """Cut the splits of each domain, independently of the other domain.

    Args:
        keys: Keys of the pictures; only their number matters.
        validation_fraction: Share in [0, 1) of the training pictures to validate on.
        test_fraction: Share in [0, 1) of the training pictures to test on.
        seed: Seed of the choice of pictures.
        group: Regular expression whose parentheses match the part of a key that is the same in
            pictures that must stay in one split; None if each picture may be in any split.
    """
    return {
        letter: cut(
            {split: len(each) for split, each in own.items()},
            validation_fraction=at_least_one(validation_fraction, len(own["train"])),
            test_fraction=at_least_one(test_fraction, len(own["train"])),
            seed=seed,
            groups=None if group is None else group_keys(own["train"], group),
        )
        for letter, own in keys.items()
    }


def cut_hidden_pairs(
    keys: Keys,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    group: str | None,
) -> DomainSplits:
    """Hold the same pictures out of both domains; the held-out pictures are in the same order.

    A split of the source, such as a folder of validation pictures, becomes the pictures with equal
    keys in both domains. Other splits are cut from the equal keys of the training pictures.

    Args:
        keys: Keys of the pictures; two pictures of both domains with equal keys are a pair.
        validation_fraction: Share in [0, 1) of the pairs to validate on.
        test_fraction: Share in [0, 1) of the pairs to test on.
        seed: Seed of the choice of pairs.
        group: As for `cut_domains`: no picture of the group of a pair is trained in any domain.

    Raises:
        UserError: If two pictures of a domain have the same key, if only one domain has a split,
            or if there are no pairs to hold out.
    """
    numbers = {
        letter: {split: _numbers(names, letter) for split, names in own.items()}
        for letter, own in keys.items()
    }
    a, b = numbers.values()
    for split in HELD_OUT:
        if (split in a) != (split in b):
            raise UserError(
                f"data.hidden_pairs=true: only domain {'a' if split in a else 'b'} has its own "
                f"{split} pictures.\nGive them to both domains or to none, or choose "
                "data.hidden_pairs=false."
            )
    pairs = {split: [key for key in a[split] if key in b[split]] for split in a if split in b}
    fractions = {"validation": validation_fraction, "test": test_fraction}
    for split, fraction in fractions.items():
        if not pairs.get(split, pairs["train"]) and (split in pairs or fraction > 0):
            raise _without_pairs(keys, split if split in pairs else "train")
    parts = cut(
        {split: len(found) for split, found in pairs.items()},
        validation_fraction=at_least_one(validation_fraction, len(pairs["train"])),
        test_fraction=at_least_one(test_fraction, len(pairs["train"])),
        seed=seed,
        groups=None if group is None or not pairs["train"] else group_keys(pairs["train"], group),
    )
    held = {
        split: (parts[split][0], [pairs[parts[split][0]][i] for i in parts[split][1].tolist()])
        for split in HELD_OUT
    }
    kept_out = {
        key
        for source, chosen in held.values()
        if source == "train" and chosen
        for key in _groups(chosen, group)
    }
    found: DomainSplits = {}
    for letter, own in numbers.items():
        rows = zip(own["train"].values(), _groups(list(own["train"]), group), strict=True)
        train = [number for number, key in rows if key not in kept_out]
        found[letter] = {"train": ("train", torch.tensor(train, dtype=torch.int64))}
        for split, (source, chosen) in held.items():
            at = torch.tensor([own[source][key] for key in chosen], dtype=torch.int64)
            found[letter][split] = (source, at)
    return found


def keys_of(names: Sequence[str], folder: str | None) -> list[str]:
    """Return the key of each picture: its path below the folder of its domain, without the suffix.

    Args:
        names: Paths of the pictures, at least one.
        folder: Name of the folder of the domain; None if the folders that all pictures share
            are left out.
    """
    paths = [PurePosixPath(name) for name in names]
    shared = len(PurePosixPath(os.path.commonpath([p.parent for p in paths])).parts)
    keys = []
    for path in paths:
        parts = path.parent.parts
        start = shared
        if folder is not None and folder in parts:
            start = max(i for i, part in enumerate(parts) if part == folder) + 1
        stem = path.stem if path.name.lower().endswith(SUFFIXES) else path.name
        keys.append("/".join((*parts[start:], stem)))
    return keys


def refuse_pairs_of_two_sizes(
    a: tuple[PictureStore, Tensor], b: tuple[PictureStore, Tensor]
) -> None:
    """Raise `UserError` if the two pictures of a hidden pair differ in height or width.

    Args:
        a: Store of the pictures of domain a, and the number of each pair's picture, int64 (N,).
        b: The same for domain b.
    """
    sizes = [store.sizes[indices] for store, indices in (a, b)]
    differ = (sizes[0] != sizes[1]).any(dim=1).nonzero()[:, 0].tolist()
    if not differ:
        return
    first = differ[0]
    shown = " and ".join(
        f"{printable(store.names[int(indices[first])])} with {width}x{height} pixels"
        for (store, indices), (height, width) in zip(
            (a, b), (each[first].tolist() for each in sizes), strict=True
        )
    )
    raise UserError(
        f"data.hidden_pairs=true: {len(differ):,} pairs have two sizes, such as\n{shown}.\n"
        "Resize the pictures of one domain, or choose data.hidden_pairs=false."
    )


def _groups(keys: Sequence[str], pattern: str | None) -> Sequence[str]:
    """Return the group of each key; without a pattern, each key is a group."""
    return keys if pattern is None else group_keys(keys, pattern)


def _numbers(keys: Sequence[str], letter: str) -> dict[str, int]:
    """Return the number of each key."""
    numbers = {key: i for i, key in enumerate(keys)}
    if len(numbers) < len(keys):
        (key, count), *_ = collections.Counter(keys).most_common(1)
        raise UserError(
            f"data.hidden_pairs=true: domain {letter} has {count} pictures named "
            f"{printable(key)}.\nRename them, or choose data.hidden_pairs=false."
        )
    return numbers


def _without_pairs(keys: Keys, split: str) -> UserError:
    shown = " and ".join(
        f"{', '.join(map(printable, own[split][:NUM_SHOWN]))}, ... in {letter}"
        for letter, own in keys.items()
    )
    return UserError(
        "data.hidden_pairs=true: no picture has the same name in both domains:\n"
        f"{shown}.\nRename them, or choose data.hidden_pairs=false."
    )
