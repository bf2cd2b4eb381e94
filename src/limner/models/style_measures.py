"""Content and style of outputs on a set of whole pictures, relative to the pictures.

    content = sum_i content(y_i, x_i) / sum_i content(x_i, x_j)       x_j: the picture before x_i
    gram    = mean_l sum_i gram_l(y_i) / sum_i gram_l(x_i)            y_i: the output for x_i

A copy of the pictures has content 0 and gram 1; other pictures in the same style have content 1.
"""

__all__ = ["StyleMeasures"]

import collections
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from limner.processes import from_all_processes

SMALLEST = 1e-12
Content = Callable[[Tensor, Tensor], Tensor]
"""Content losses (B, depths) of two batches of images of one size."""


class StyleMeasures:
    """Sums over the pictures of this process, which sees them one at a time.

    The pictures of a process form a ring: the first is compared with the last. A process with a
    single picture compares it with its mirror image.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = collections.defaultdict(lambda: torch.zeros(()))
        self._first: Tensor | None = None
        self._before: Tensor | None = None

    def add(
        self,
        target: Tensor,
        output: Tensor,
        *,
        weight: float,
        content: Content,
        gram: Callable[[Tensor], Tensor],
        others: Mapping[str, Tensor],
    ) -> None:
        """Add one picture.

        Args:
            target: Picture (1, C, H, W) in [-1, 1].
            output: Output of this shape.
            weight: 1, or 0 for a picture that another process has; such a picture is left out.
            content: Content losses.
            gram: Function that returns the Gram losses (1, depths) of images in the style.
            others: Other losses (1,) by name.
        """
        if weight == 0:
            return
        if self._before is None:
            self._first = target
        else:
            self._compare(target, self._before, content)
        self._before = target
        found = {"pictures": target.new_ones(()), "content": content(output, target)[0]}
        found |= {"gram": gram(output)[0], "gram of inputs": gram(target)[0]}
        for name, value in (found | {f"loss {name}": v[0] for name, v in others.items()}).items():
            self._add(name, value)

    def values(self, content: Content) -> dict[str, Tensor]:
        """Return content, gram and the means of the other losses, over all processes.

        Every process must have at least one picture.
        """
        alone = self._first is self._before
        self._compare(self._first, self._before.flip(3) if alone else self._before, content)
        sums = list(self._sums.values())
        flat = torch.cat([each.flatten() for each in sums])
        flat = from_all_processes(flat[None]).sum(0)
        parts = flat.split([each.numel() for each in sums])
        total = dict(zip(self._sums, parts, strict=True))
        contents = total["content"] / total["content of others"].clamp(min=SMALLEST)
        grams = total["gram"] / total["gram of inputs"].clamp(min=SMALLEST)
        found = {"content": contents.mean(), "gram": grams.mean()}
        for name in total:
            if name.startswith("loss "):
                found[name.removeprefix("loss ")] = (total[name] / total["pictures"]).squeeze()
        return {name: value.float() for name, value in found.items()}

    def _compare(self, target: Tensor, other: Tensor, content: Content) -> None:
        """Add the content loss of two pictures, on the part of both that they have in common."""
        height, width = (min(pair) for pair in zip(target.shape[2:], other.shape[2:], strict=True))
        cut = (each[..., :height, :width] for each in (target, other))
        self._add("content of others", content(*cut)[0])

    def _add(self, name: str, value: Tensor) -> None:
        value = value.detach().to(torch.promote_types(value.dtype, torch.float32))
        self._sums[name] = self._sums[name].to(value) + value
