"""A causal transformer: an autoregressive distribution over sequences of codes.

    p(k_1 ... k_L) = prod_t p(k_t | k_1 ... k_(t-1), y)

It has pre-norm blocks of causal self-attention and learned positions: Vaswani et al. (2017),
section 3, https://arxiv.org/abs/1706.03762, in the form of Radford et al. (2019). The first
position reads a learned start token; a conditional transformer has one for each class.
"""

__all__ = ["CausalTransformer", "draw_codes"]

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from limner.networks.learned_constant import Start

Cache = tuple[Tensor, Tensor]


class CausalTransformer(nn.Module):
    """Distribution over sequences (B, length) of codes in [0, num_codes).

    Args:
        num_codes: Number of entries of the codebook.
        length: Length L of a sequence, at least 1, e.g. height x width of a map of codes.
        width: Size of the embeddings, a multiple of `num_heads`.
        num_layers: Number of blocks, at least 1.
        num_heads: Number of attention heads.
        dropout: Share of each block's output that is dropped in training, in [0, 1).
        num_classes: Number of classes; None for an unconditional network.
    """

    def __init__(
        self,
        *,
        num_codes: int,
        length: int,
        width: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        num_classes: int | None,
    ) -> None:
        if width % num_heads:
            raise ValueError(
                f"network.prior.width={width}: must be a multiple of num_heads={num_heads}."
            )
        super().__init__()
        self.num_codes, self.length = num_codes, length
        self.start = Start((1, width), num_classes=num_classes, std=0.02)
        self.embedding = nn.Embedding(num_codes, width)
        self.positions = nn.Parameter(torch.empty(length, width))
        self.blocks = nn.ModuleList(_Block(width, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, num_codes)
        self.apply(_init)
        nn.init.normal_(self.positions, std=0.02)
        for block in (
            self.blocks
        ):  # keeps the variance of the sum over all blocks independent of their number
            for last in (block.attended, block.feed[-1]):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * num_layers))

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, L, num_codes); the logits at t predict code t from the codes before.

        Args:
            codes: Sequences int64 (B, L); the last code is not read.
            labels: Classes int64 (B,) if the transformer is conditional.
        """
        x = torch.cat([self.start(len(codes), labels), self.embedding(codes[:, :-1])], dim=1)
        x = x + self.positions
        for block in self.blocks:
            x, _ = block(x, None)
        return self.logits(self.norm(x))

    def log_prob(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return log p (B,) of sequences (B, L), in nats."""
        logits = self.forward(codes, labels).float().flatten(0, 1)
        return -cross_entropy(logits, codes.flatten(), reduction="none").view_as(codes).sum(1)

    @torch.no_grad()
    def sample(
        self,
        num_sequences: int,
        *,
        temperature: float,
        top_k: int | None,
        labels: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Draw sequences int64 (num_sequences, L), the same sequences on every device.

        Keys and values of earlier positions are cached, so that each code costs one position.

        Args:
            num_sequences: Number of sequences.
            temperature: Divisor of the logits, above 0; 1 samples from the model's distribution.
            top_k: Number of the likeliest codes to draw from; None for all codes.
            labels: Classes int64 (num_sequences,) if the transformer is conditional.
            generator: Generator of the CPU.
        """
        x = self.start(num_sequences, labels)
        u = torch.rand(self.length, num_sequences, generator=generator).to(x.device)
        caches: list[Cache | None] = [None] * len(self.blocks)
        codes = []
        for position in range(self.length):
            x = x + self.positions[position]
            for i, block in enumerate(self.blocks):
                x, caches[i] = block(x, caches[i])
            logits = self.logits(self.norm(x)).squeeze(1).float() / temperature
            codes.append(draw_codes(logits, u[position], top_k))
            x = self.embedding(codes[-1])[:, None]
        return torch.stack(codes, dim=1)


class _Block(nn.Module):
    """Transformer block: x + attention(norm(x)), then x + feed(norm(x))."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return positions (B, T, width) and the new cache; with a cache, T is 1."""
        parts = self.queries_keys_values(self.norm(x)).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, width / heads) each
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        seen = scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        x = x + self.dropout(self.attended(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.feed_norm(x))), (key, value)


def draw_codes(logits: Tensor, u: Tensor, top_k: int | None) -> Tensor:
    """Draw codes (B,) by inverting the cumulative distribution at u (B,), in [0, 1)."""
    if top_k is not None and top_k < logits.shape[1]:
        smallest = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -math.inf)
    cumulative = logits.softmax(1).cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]  # rounding may leave the last entry below 1
    return torch.searchsorted(cumulative, u[:, None], right=True).squeeze(1)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
