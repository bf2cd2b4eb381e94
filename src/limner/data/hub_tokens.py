"""Tokens of a pretrained text network, by its tokenizer from the transformers library."""

__all__ = ["SCHEME", "HubTokens"]

from collections.abc import Sequence

from limner.errors import UserError

SCHEME = "hf:"
"""Start of a vocabulary that names a pretrained network."""
INSTALL = "pip install 'limner[text]'"


class HubTokens:
    """Tokens of a pretrained text network; has the methods of `limner.data.vocabulary.Vocabulary`.

    Token 0 is padding. Token i + 1 is number i of the pretrained network's own tokenizer, which
    also sets the tokens that begin and end a text.

    Args:
        name: Folder, or name on the Hugging Face hub, such as `openai/clip-vit-base-patch32`.

    Raises:
        UserError: If transformers is missing, or the tokenizer cannot be read.
    """

    def __init__(self, name: str) -> None:
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise UserError(
                f"data.vocabulary={SCHEME}{name} needs transformers: {INSTALL}"
            ) from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().split("\n")[0]
            raise UserError(
                f"data.vocabulary={SCHEME}{name}: the tokenizer cannot be read ({reason})."
            ) from error
        self.text = f"{SCHEME}{name}"

    @property
    def num_tokens(self) -> int:
        """Number of different tokens: all tokens of the network, and padding."""
        return len(self._tokenizer) + 1

    def encode(self, text: str, length: int) -> list[int]:
        """Return `length` tokens of a text, cut or padded."""
        found = self._tokenizer(text, truncation=True, max_length=length)["input_ids"]
        return [number + 1 for number in found] + [0] * (length - len(found))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens without padding."""
        numbers = [int(token) - 1 for token in tokens if int(token) > 0]
        return self._tokenizer.decode(numbers, skip_special_tokens=True)

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that contain an unknown token."""
        number = self._tokenizer.unk_token_id
        if number is None:
            return []
        return [
            word
            for word in dict.fromkeys(text.split())
            if number in self._tokenizer(word, add_special_tokens=False)["input_ids"]
        ]
