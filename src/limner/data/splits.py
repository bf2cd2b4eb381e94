"""Assignment of images to the training, validation and test splits that a source lacks."""

__all__ = [
    "SPLITS", "at_least_one", "check_fractions", "cut", "group_keys", "named", "published",
    "split_sizes",
]  # fmt: skip

import re
from collections.abc import Container, Mapping, Sequence, Sized
from typing import TypeVar

import torch
from torch import Tensor

from limner.errors import UserError
from limner.files.printable import counted, printable
from limner.randomness import generator_for

SPLITS = ("train", "validation", "test")
"""Names of the splits of every data set."""
T = TypeVar("T")


def split_sizes(splits: Mapping[str, tuple[object, Sized]], noun: str) -> str:
    """Return the sizes of the splits that have samples, such as "80 train, 10 test images".

    Args:
        splits: Source and indices of each split, by name.
        noun: Name of a sample in the singular.
    """
    parts = [(len(indices), name) for name, (_, indices) in splits.items() if len(indices)]
    last = [counted(parts[-1][0], f"{parts[-1][1]} {noun}")] if parts else [f"no {noun}s"]
    return ", ".join([*(f"{number:,} {name}" for number, name in parts[:-1]), *last])


def check_fractions(validation: float, test: float) -> None:
    """Raise `UserError` for fractions that leave no images to train on."""
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(
            f"data.validation_fraction={validation} and data.test_fraction={test}: must be 0 or "
            "more each, and below 1 together, so that images are left to train on."
        )


def at_least_one(fraction: float, total: int) -> float:
    """Return a share of `total` images, raised so that it gives one image if it is above 0.

    Fewer than three images have no share to spare.
    """
    return max(fraction, 0.6 / total) if fraction > 0 and total >= 3 else fraction


def group_keys(names: Sequence[str], pattern: str) -> list[str]:
    """Return the key of the group of each name; names with one key stay in one split.

    The key is the text that the parentheses of the pattern match, joined. A name without a match
    is a group of its own.

    Args:
        names: Names of pictures or pairs, without the suffix of the file.
        pattern: Regular expression, such as `^(.*?)(?:-1f3f[b-f]|$)` for the part before the first
            skin-tone code.

    Raises:
        UserError: If the pattern is no regular expression with parentheses, or matches no name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"data.group={pattern}: is no regular expression ({error}).") from error
    if compiled.groups == 0:
        raise UserError(
            f"data.group={pattern}: needs parentheses around the part of a name that is the same "
            "in\nall pictures of a group, such as data.group='^([^_]+)'."
        )
    found = [compiled.search(name) for name in names]
    if names and not any(found):
        raise UserError(
            f"data.group={pattern}: matches no name; the first name is {printable(names[0])}."
        )
    return [
        f"{name}/" if match is None else "".join(text or "" for text in match.groups())
        for name, match in zip(names, found, strict=True)
    ]


def cut(
    sizes: Mapping[str, int],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> dict[str, tuple[str, Tensor]]:
    """Assign images to "train", "validation" and "test".

    With groups, whole groups are drawn, so the shares are met only approximately. A share above 0
    gets one group or more.

    Args:
        sizes: Number of images in each split of the source; "train" is required.
        validation_fraction: Share in [0, 1) of the training images to validate on, if the source
            has no validation images.
        test_fraction: Share in [0, 1) of the training images to test on, if the source has no
            test images.
        seed: Seed of the choice of images.
        groups: Key of the group of each training image; None if each image is its own group.

    Returns:
        For each of the three names, the source's split that contains the images, and int64 (N,)
        indices in that split.

    Raises:
        UserError: If the groups leave no image to train on.
    """
    fractions = {"validation": validation_fraction, "test": test_fraction}
    rest = _shuffled(sizes["train"], groups, seed)
    splits = {}
    for name, fraction in fractions.items():
        if name in sizes:
            splits[name] = (name, torch.arange(sizes[name]))
        else:
            taken, rest = _taken(rest, round(fraction * sizes["train"]))
            splits[name] = ("train", taken.sort().values)
    rest = rest if isinstance(rest, Tensor) else _joined(rest)
    if groups is not None and len(rest) == 0:
        raise UserError(
            f"data.group: {sizes['train']:,} images or sequences in groups: "
            f"{len(set(groups)):,}, which leaves none to train\non. Choose another data.group, "
            "or null."
        )
    return {"train": ("train", rest.sort().values), **splits}


def named(splits: Mapping[str, T], name: str) -> T:
    """Return what belongs to the split with a name; raise `UserError` for another name."""
    if name not in splits:
        raise UserError(f"split={name}: must be {' | '.join(splits)}.")
    return splits[name]


def published(
    splits: Mapping[str, tuple[str, Tensor]], sources: Container[str], split: str, *, name: str
) -> tuple[str, Tensor]:
    """Return the source's split and the indices of the images that scores compare with.

    "train" and "test" are the whole splits of the data set's authors, as in published scores:
    validation images that were cut from the training images belong to "train". If the authors
    define no test images, "test" is the test split cut here, and "train" has all other images.

    Args:
        splits: Result of `cut`.
        sources: Names of the splits of the source.
        split: "train" or "test".
        name: Name of the data set, for messages.

    Raises:
        UserError: For another split, or if the data set has no such images.
    """
    if split not in ("train", "test"):
        raise UserError(f"metrics.reference_split={split}: choose train or test.")
    if split == "test" and not len(splits["test"][1]) and "validation" in sources:
        split = "validation"  # as for ImageNet, whose test labels are secret
    source, indices = splits[split]
    if split == "train":
        indices = torch.cat([i for at, i in splits.values() if at == "train"])
        if splits["test"][0] == "train":
            indices = indices[~torch.isin(indices, splits["test"][1])]
        indices = indices.sort().values
    if len(indices) == 0:
        raise UserError(f"metrics.reference_split={split}: {name} has no such images.")
    return source, indices


def _shuffled(total: int, groups: Sequence[str] | None, seed: int) -> Tensor | list[Tensor]:
    """Return the numbers of the images, or of the images of each group, in random order."""
    generator = generator_for(seed, "split")
    if groups is None:
        return torch.randperm(total, generator=generator)
    members: dict[str, list[int]] = {}
    for number, key in enumerate(groups):
        members.setdefault(key, []).append(number)
    parts = [torch.tensor(members[key]) for key in sorted(members)]
    return [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]


def _taken(rest: Tensor | list[Tensor], size: int) -> tuple[Tensor, Tensor | list[Tensor]]:
    """Return about `size` images, and the remaining images.

    A group is taken if that brings the number of images nearer to the size.
    """
    if isinstance(rest, Tensor):
        return rest[:size], rest[size:]
    taken, left, missing = [], [], size
    for group in rest:
        is_near = len(group) < 2 * missing
        (taken if is_near else left).append(group)
        missing -= len(group) * is_near
    if size > 0 and left and not taken:
        smallest = min(range(len(left)), key=lambda i: len(left[i]))
        taken.append(left.pop(smallest))
    return _joined(taken), left


def _joined(groups: list[Tensor]) -> Tensor:
    return torch.cat(groups) if groups else torch.empty(0, dtype=torch.int64)
