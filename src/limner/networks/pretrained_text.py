"""Encoder of texts by a frozen, pretrained network of the transformers library."""

__all__ = ["SCHEME", "PretrainedTextEncoder"]

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

PADDING = 0
SCHEME = "hf:"
"""Start of a vocabulary that names a pretrained network."""


class PretrainedTextEncoder(nn.Module):
    """Encoder from texts int64 (B, L) to codes float (B, code_dim) of Euclidean length 1.

        code = W norm(mean of the last states of the frozen network) / its length

    Only W and the norm are trained and saved. The frozen network stays in evaluation mode; it is
    read when the first text is encoded. Token 0 of a text is padding, and token i + 1 is number i
    of the network's own tokenizer (`limner.data.hub_tokens`).

    Args:
        vocabulary: "hf:" and the name of the network on the Hugging Face hub, or its folder.
        length: Largest number of tokens L of a text.
        code_dim: Size of a code.
        width: Size of the states of the network.

    Raises:
        ValueError: If the vocabulary names no network.
    """

    def __init__(self, *, vocabulary: str | None, length: int, code_dim: int, width: int) -> None:
        if vocabulary is not None and not vocabulary.startswith(SCHEME):
            raise ValueError(
                "model/text=pretrained needs the tokens of its network:\n"
                f"data.vocabulary={SCHEME}NAME, such as {SCHEME}distilbert-base-uncased."
            )
        super().__init__()
        self.vocabulary, self.length, self.code_dim = vocabulary, length, code_dim
        self.width = width
        self.norm, self.code = nn.LayerNorm(width), nn.Linear(width, code_dim)
        self._frozen = _Frozen()

    def load_pretrained(self) -> None:
        """Read the frozen network, unless this encoder or its original has read it.

        Raises:
            ValueError: If transformers or the network is missing, or its states have another size.
        """
        if self._frozen.network is not None:
            return
        name = str(self.vocabulary).removeprefix(SCHEME)
        try:
            from transformers import AutoModel
        except ImportError as error:
            raise ValueError(
                f"data.vocabulary={self.vocabulary} needs transformers: pip install 'limner[text]'"
            ) from error
        try:
            network = AutoModel.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(
                f"data.vocabulary={self.vocabulary}: the network cannot be read ({reason})."
            ) from error
        network = getattr(network, "text_model", network)  # the half of CLIP that reads texts
        if network.config.hidden_size != self.width:
            raise ValueError(
                f"model.text.width={self.width}: the states of {name} have a size of "
                f"{network.config.hidden_size}."
            )
        self._frozen.network = network.requires_grad_(False).eval()

    def forward(self, texts: Tensor) -> Tensor:
        """Return codes (B, code_dim) of texts int64 (B, L'), with L' up to L."""
        return normalize(self.code(self.norm(self.states(texts))).float(), dim=1)

    @torch.no_grad()
    def states(self, texts: Tensor) -> Tensor:
        """Return the mean (B, width) of the frozen network's last states of each text."""
        self.load_pretrained()
        network = self._frozen.network.to(texts.device)
        is_read = texts != PADDING
        is_read = torch.cat([torch.ones_like(is_read[:, :1]), is_read[:, 1:]], dim=1)
        with torch.autocast(texts.device.type, enabled=False):
            found = network(input_ids=(texts - 1).clamp(min=0), attention_mask=is_read.long())
        states = found.last_hidden_state * is_read[..., None]
        return states.sum(1) / is_read.sum(1, keepdim=True)


class _Frozen:
    """Holder of the frozen network; copies of an encoder share it, and no checkpoint has it."""

    def __init__(self) -> None:
        self.network: Any = None

    def __deepcopy__(self, memo: dict) -> "_Frozen":
        return self
