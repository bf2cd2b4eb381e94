"""Facts of captions in the config of a model: the vocabulary, and the numbers that follow."""

__all__ = ["TEXT_FACTS", "check_text_facts"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.data.hub_tokens import SCHEME
from limner.data.vocabulary import MAX_TOKENS, MAX_WORDS, parse
from limner.errors import UserError

TEXT_FACTS = ("vocabulary", "num_tokens", "text_length")
"""Keys of `data` of a model that reads captions, or that was trained beside captions."""


def check_text_facts(path: Path, data: Mapping[str, Any]) -> None:
    """Raise `UserError` if the facts of captions in a config do not belong together.

    Args:
        path: Path of the config, for the message.
        data: The config's part `data`; without a vocabulary, there is nothing to check.
    """
    vocabulary = data.get("vocabulary")
    if vocabulary is None:
        return
    most = {"num_tokens": MAX_WORDS + 2, "text_length": MAX_TOKENS}
    for key, limit in most.items():
        number = data.get(key)
        if type(number) is not int or not 1 <= number <= limit:
            raise UserError(
                f"{path}: data.{key}={number}: must be a whole number from 1 to {limit:,}."
            )
    try:
        is_hub = isinstance(vocabulary, str) and vocabulary.startswith(SCHEME)
        found = data["num_tokens"] if is_hub else parse(vocabulary).num_tokens
    except ValueError as error:
        raise UserError(f"{path}: data.vocabulary: {error}.") from error
    if found != data["num_tokens"]:
        raise UserError(
            f"{path}: data.num_tokens={data['num_tokens']}: data.vocabulary has {found} tokens."
        )
