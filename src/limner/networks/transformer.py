"""A causal transformer: the distribution of sequences of codes, one after the other.

    p(k_1 ... k_L) = prod_t p(k_t | k_1 ... k_(t-1), y)

Pre-norm blocks of self-attention, in which a position sees none after it, and learned positions;
Vaswani et al. (2017), section 3, https://arxiv.org/abs/1706.03762, in the form of Radford et al.
(2019). The first position sees a learned start, one for each class where there are classes.
"""

__all__ = ["CausalTransformer"]

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from limner.networks.learned_constant import Start

Cache = tuple[Tensor, Tensor]


class CausalTransformer(nn.Module):
    """Over sequences (B, length) of codes in [0, num_codes).

    Args:
        num_codes: Size of the codebook.
        length: L of a sequence, at least 1, e.g. height times width of a map of codes.
        width: Of the embeddings, a multiple of num_heads.
        num_layers: Blocks, at least 1.
        num_heads: Of the attention.
        dropout: Part of each block's output that is dropped in training, in [0, 1).
        num_classes: How many classes there are; None for no condition.
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
        for block in self.blocks:  # so that the sum over the blocks starts at the scale of one
            for last in (block.attended, block.feed[-1]):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * num_layers))

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (B, L, num_codes): those at t of the code at t, from the codes before it.

        Args:
            codes: int64 (B, L); the last is not looked at.
            labels: int64 (B,), where the transformer is conditional.
        """
        x = torch.cat([self.start(len(codes), labels), self.embedding(codes[:, :-1])], dim=1)
        x = x + self.positions
        for block in self.blocks:
            x, _ = block(x, None)
        return self.logits(self.norm(x))

    def log_prob(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p of whole sequences (B, L) in nats, (B,)."""
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
        """Sequences int64 (num_sequences, L), of the same random numbers on every device.

        Keys and values of earlier positions are kept, so that a code costs one position's pass.

        Args:
            num_sequences: How many.
            temperature: By which logits are divided, above 0; 1 for the model's distribution.
            top_k: Only so many of the likeliest codes are drawn; None for all.
            labels: int64 (num_sequences,), where the transformer is conditional.
            generator: Of the CPU.
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
            codes.append(_draw(logits, u[position], top_k))
            x = self.embedding(codes[-1])[:, None]
        return torch.stack(codes, dim=1)


class _Block(nn.Module):
    """x + attention(norm(x)), then x + feed(norm(x))."""

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
        """Of positions (B, T, width): all of them, or the one that follows those of the cache."""
        parts = self.queries_keys_values(self.norm(x)).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, width / heads) each
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        seen = scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        x = x + self.dropout(self.attended(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.feed_norm(x))), (key, value)


def _draw(logits: Tensor, u: Tensor, top_k: int | None) -> Tensor:
    """Codes (B,) by inverting the cumulative distribution at u (B,), in [0, 1)."""
    if top_k is not None and top_k < logits.shape[1]:
        smallest = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -math.inf)
    cumulative = logits.softmax(1).cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]  # whose last entry rounding leaves below 1
    return torch.searchsorted(cumulative, u[:, None], right=True).squeeze(1)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
