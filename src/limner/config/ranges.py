"""Ranges of numbers that the types of constructors cannot state.

The rules depend on the kind of a parameter (a seed, a size, a learning rate, a shape), so that
they apply to classes that are added later as well.
"""

__all__ = ["check_finite", "check_optimizer", "check_range", "check_seed", "with_float_betas"]

import math
import re
from collections.abc import Mapping
from typing import Any

from limner.errors import UserError

MAX_SEED = 2**32 - 1
SEED = re.compile(r"(.*_)?seed")
SIZE = re.compile(
    r"(?!pool_size$)(.*_)?(dims?|width|size|heads|channels|length|period)"
    r"|params_per_value|max_features|every.*|patch"
    r"|(.*_)?num_(samples|images|updates|epochs|components|codes|neighbours|splits|subsets"
    r"|features|heads|operators|mapping_layers|discriminator_steps|inputs|targets|frames|views"
    r"|sequences)"
)
"""Names of whole numbers that must be 1 or more; a pool of images may have the size 0."""
COUNT = re.compile(r"(.*_)?num_|first_update$|pool_size$|.*_gib$")
"""Names of numbers that must be 0 or more."""
RATE = re.compile(r"(.*_)?(lr|learning_rate)")
SHARE = re.compile(r"(.*_)?dropout")
"""Names of numbers that must be in [0, 1)."""


def check_finite(key: str, value: Any, *, allows_infinity: bool = False) -> None:
    """Raise UserError for a value that is or contains nan or an infinity.

    Args:
        key: Dotted key.
        value: Plain value; a node with a `_target_` is checked elsewhere.
        allows_infinity: Whether to refuse only nan.
    """
    if isinstance(value, list):
        for item in value:
            check_finite(key, item, allows_infinity=allows_infinity)
    elif isinstance(value, Mapping) and "_target_" not in value:
        for name, item in value.items():
            check_finite(f"{key}.{name}", item, allows_infinity=allows_infinity)
    elif isinstance(value, float) and (
        math.isnan(value) or (math.isinf(value) and not allows_infinity)
    ):
        raise UserError(f"{key}={value}: must be a finite number.")


def check_range(key: str, value: Any, *, parameter: str | None = None) -> None:
    """Raise UserError for an argument of limner's own classes that is out of its range.

    Args:
        key: Dotted key.
        value: Value in the config, of the right type.
        parameter: Name of the parameter, which names the kind of the number; None for the last
            part of the key.
    """
    name = parameter or key.rpartition(".")[2]
    if name == "image_shape" and isinstance(value, list):
        if len(value) != 3 or min(value) < 1:
            raise UserError(f"{key}={value}: must be [channels, height, width], each 1 or more.")
        return
    if name == "num_layers" and isinstance(value, int) and value < 1:  # a ladder has a list
        raise UserError(f"{key}={value}: must be 1 or more.")
    for number in value if isinstance(value, list) else [value]:
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        if SEED.fullmatch(name):
            check_seed(key, number)
        elif isinstance(number, int) and SIZE.fullmatch(name) and number < 1:
            raise UserError(f"{key}={value}: must be 1 or more.")
        elif SHARE.fullmatch(name) and not 0 <= number < 1:
            raise UserError(f"{key}={value}: must be 0 or more, and below 1.")
        elif number < 0 and (RATE.fullmatch(name) or COUNT.match(name)):
            raise UserError(f"{key}={value}: must be 0 or more.")


def check_seed(key: str, seed: float) -> None:
    """Raise UserError unless numpy and torch both accept a seed."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"{key}={seed}: must be 0 or more, and at most {MAX_SEED}.")


def check_optimizer(path: str, target: Any, given: Mapping[str, Any]) -> None:
    """Raise UserError if an optimizer refuses its arguments, before training starts.

    Args:
        path: Dotted key of the node.
        target: Class of the optimizer.
        given: Arguments from the config.
    """
    refusal = _refusal(target, given)
    if refusal is None:
        return
    for key, value in given.items():
        rest = {name: other for name, other in given.items() if name != key}
        if _refusal(target, rest) is None:
            raise UserError(
                f"{path}.{key}={value}: {target.__name__} refuses it: {refusal}"
            ) from refusal
    raise UserError(f"{path}: {target.__name__} refuses its arguments: {refusal}") from refusal


def with_float_betas(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's node whose betas are floats; torch refuses [0, 0.99]."""
    betas = optimizer.get("betas")
    if not isinstance(betas, list):
        return optimizer
    return optimizer | {"betas": [float(b) if type(b) is int else b for b in betas]}


def _refusal(target: Any, given: Mapping[str, Any]) -> Exception | None:
    import torch  # an optimizer has imported it already

    try:
        target([torch.nn.Parameter(torch.zeros(1))], **given)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        return error
    except Exception:  # a problem of the machine, not of a value
        return None
    return None
