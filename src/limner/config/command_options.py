"""Parse the `key=value` words of a command into a dataclass, with every value checked."""

__all__ = ["MISSING", "parse"]

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.config.build import similar
from limner.errors import UserError
from limner.files.printable import printable

T = TypeVar("T")


def parse(words: Sequence[str], options: type[T]) -> T:
    """Fill a dataclass from words such as `num_images=64`; lists are written `[1,2]`.

    Fields whose default is `MISSING` must be given.

    Raises:
        UserError: If a word is no key=value, a key is unknown or missing, or a value does not fit.
    """
    names = [field.name for field in dataclasses.fields(options)]
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise UserError(f"{printable(word)}: not of the form key=value.")
        if key not in names:
            raise UserError(f"{printable(key)}: there is no such key{similar(key, names)}")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(options), OmegaConf.from_dotlist(list(words))
        )
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    except yaml.YAMLError as error:  # an open bracket, a control character
        reason = " ".join(str(error).split())
        raise UserError(f"{' '.join(map(printable, words))}: cannot be read: {reason}") from error
    for name in names:
        if OmegaConf.is_missing(merged, name):
            raise UserError(f"{name} must be given: {name}=...")
    return OmegaConf.to_object(merged)
