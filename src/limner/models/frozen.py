"""A trained model as a part of another, which trains it no more."""

__all__ = ["freeze"]

from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def freeze(model: M) -> M:
    """The model, in evaluation mode and without gradients."""
    return model.requires_grad_(False).eval()
