"""Checks that tensors from a file are the weights of a model."""

__all__ = ["check_fit", "check_values"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import UserError

SHOWN = 3  # largest number of keys in a message
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that may differ between a file and its model, since `trainer.precision` may differ."""


def check_fit(module: Any, weights: Mapping[str, Any], path: Path) -> None:
    """Compare the names, kinds, shapes and dtypes of weights with the tensors of a model.

    Args:
        module: The model. Its tensors may be on the meta device.
        weights: Mapping of names to tensors, read from a file.
        path: Path of the file, for messages.

    Raises:
        UserError: If they differ; the message names a few differences.
    """
    if not isinstance(module, nn.Module):
        raise UserError(f"model._target_: {type(module).__name__} is no model.")
    expected = module.state_dict()
    both = [key for key in expected if key in weights]
    plain = [key for key in both if _is_plain(weights[key])]
    differences = {
        "are missing in the file": [key for key in expected if key not in weights],
        "are not in the model": [str(key) for key in weights if key not in expected],
        "are no plain tensors": [key for key in both if key not in set(plain)],
        "have another shape": _unlike(_shape, plain, weights, expected),
        "have another type": _unlike(_dtype, plain, weights, expected),
    }
    found = [f"{_few(keys)} {what}" for what, keys in differences.items() if keys]
    if found:
        raise UserError(
            f"{path} does not fit the config.yaml beside it, or was written by another version of "
            "limner: " + "; ".join(found) + "."
        )


def check_values(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise UserError for weights that are not finite, as after a diverged training.

    Args:
        weights: Weights that `check_fit` accepts.
        path: Path of their file, for messages.

    Raises:
        UserError: If a number is infinite or nan.
    """
    broken = [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(
            f"{path}: {_few(broken)} have infinite numbers or nan. Training had diverged, or "
            "the file is damaged."
        )


def _is_plain(value: Any) -> bool:
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _unlike(
    what: Callable[[Tensor], str],
    keys: list[str],
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> list[str]:
    pairs = {key: (what(weights[key]), what(expected[key])) for key in keys}
    return [f"{key} ({a} instead of {b})" for key, (a, b) in pairs.items() if a != b]


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape))


def _dtype(value: Tensor) -> str:
    name = str(value.dtype).removeprefix("torch.")
    return "floating point" if value.dtype in FLOATS else name


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
