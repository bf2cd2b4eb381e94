"""A network that fills holes: known pixels stay as they are, and the holes begin at a smooth fill.

output = mask * input + (1 - mask) * network(fill(input, mask), mask)
"""

__all__ = ["KnownPixels"]

from collections.abc import Callable

import torch
from torch import Tensor, nn


class KnownPixels(nn.Module):
    """Network that changes the pixels in holes only.

    Args:
        network: Network from filled images and their mask (B, C + 1, H, W), the mask last, to
            images (B, C, H, W), with the attributes `scale` and `multiple`.
        fill: Function from images (B, C, H, W) and whether a pixel is known, bool (B, 1, H, W),
            to filled images.
        input_shape: Shape (C + 1, H, W) of an input with its mask; only its C matters.
        image_shape: Shape (C, H, W) of an output; only C matters.

    Raises:
        ValueError: If the inputs have no mask.
    """

    overlap = None
    """None, since the fill of a large hole depends on pixels far away."""

    def __init__(
        self,
        *,
        network: nn.Module,
        fill: Callable[[Tensor, Tensor], Tensor],
        input_shape: list[int],
        image_shape: list[int],
    ) -> None:
        if input_shape[0] != image_shape[0] + 1:
            raise ValueError(
                f"inputs of {input_shape[0]} channels and images of {image_shape[0]}: this "
                "network fills holes,\nand needs data/degradation=holes, or a list that ends with "
                "holes."
            )
        super().__init__()
        self.network, self.fill = network, fill
        self.scale, self.multiple = network.scale, network.multiple

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images (B, C, H, W) of inputs (B, C, H, W) and their mask, 1 or -1."""
        images, mask = inputs[:, :-1], inputs[:, -1:]
        is_known = mask > 0
        filled = self.network(torch.cat([self.fill(images, is_known), mask], 1))
        return torch.where(is_known, images, filled.to(images.dtype))
