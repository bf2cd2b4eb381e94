"""Encoder of texts: token numbers in, a code of length 1 out.

    h_i = embedding of token i + position i       transformer blocks, in which all tokens of a text
                                                  attend to one another
    code = W norm(mean of h_i) / its length

Only the tokens that are no padding count: neither attention nor mean sees the others. The token
numbers come from `limner.data.vocabulary`: 0 is padding.
"""

__all__ = ["PADDING", "TextEncoder"]

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

PADDING = 0


class TextEncoder(nn.Module):
    """Encoder from texts int64 (B, L) to codes float (B, code_dim) of Euclidean length 1.

    Since the weights of codes in the learned vectors of a network (see
    `limner.networks.conditions`) have length 1, as those of a class have, both have the same
    scale. A text without words has the code of its first token.

    Args:
        num_tokens: Number of tokens: the words of the vocabulary, unknown and padding.
        length: Largest number of tokens L of a text.
        code_dim: Size of a code.
        width: Size of the vector of a token, a multiple of `num_heads`.
        num_blocks: Number of transformer blocks; 0 for the mean of the words' vectors, whatever
            their order.
        num_heads: Number of heads of attention.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        length: int,
        code_dim: int,
        width: int,
        num_blocks: int,
        num_heads: int,
    ) -> None:
        if width % num_heads:
            raise ValueError(
                f"model.text.width={width}: must be a multiple of num_heads={num_heads}."
            )
        super().__init__()
        self.code_dim, self.length = code_dim, length
        self.embedding = nn.Embedding(num_tokens, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if num_blocks > 0:
            self.positions = nn.Parameter(torch.empty(length, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(num_blocks))
        self.norm, self.code = nn.LayerNorm(width), nn.Linear(width, code_dim)

    def forward(self, texts: Tensor) -> Tensor:
        """Return codes (B, code_dim) of texts int64 (B, L'), with L' up to L."""
        is_read = texts != PADDING
        is_read = torch.cat([torch.ones_like(is_read[:, :1]), is_read[:, 1:]], dim=1)
        x = self.embedding(texts)
        if self.blocks:
            x = x + self.positions[: texts.shape[1]]
        for block in self.blocks:
            x = block(x, is_read)
        mean = (x * is_read[..., None]).sum(1) / is_read.sum(1, keepdim=True)
        return normalize(self.code(self.norm(mean)).float(), dim=1)


class _Block(nn.Module):
    """Transformer block: x + attention(norm(x)), then x + feed(norm(x))."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        for last in (self.attended, self.feed[-1]):
            nn.init.normal_(last.weight, std=0.02)

    def forward(self, x: Tensor, is_read: Tensor) -> Tensor:
        """Return tokens (B, L, width); those with `is_read` (B, L) false are attended by none."""
        parts = self.queries_keys_values(self.norm(x)).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, L, width / heads) each
        seen = scaled_dot_product_attention(query, key, value, attn_mask=is_read[:, None, None])
        x = x + self.attended(seen.transpose(1, 2).flatten(2))
        return x + self.feed(self.feed_norm(x))
