"""Vector quantisation: each code of a map is replaced by the nearest entry of a codebook.

    quantised = e_k,  k = argmin_j ||z - e_j||^2
    gradient of z = gradient of `quantised`, passed straight through
    commitment = ||z - sg(e_k)||^2

van den Oord et al. (2017), equations 1 to 3, https://arxiv.org/abs/1711.00937. No gradient trains
the codebook; its entries are moving averages of the codes (appendix A.1):
N_j <- decay N_j + (1 - decay) n_j, m_j <- decay m_j + (1 - decay) sum of the n_j codes nearest to
e_j, and e_j = m_j / N_j.
"""

__all__ = ["CodeUse", "Codebook", "Quantised", "code_use"]

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

MIN_SIZE = 1e-5  # below this N_j an entry keeps its value


class Quantised(NamedTuple):
    """A map of codes after quantisation."""

    codes: Tensor
    """(B, D, h, w): entries of the codebook; the input codes receive their gradient."""
    indices: Tensor
    """int64 (B, h, w), in [0, num_codes)."""
    commitment: Tensor
    """(B,): ||z - sg(e)||^2, summed over positions and dimensions; the paper's weight is 0.25."""
    counts: Tensor
    """(num_codes,): how often each entry was chosen in the batches of all processes."""


class CodeUse(NamedTuple):
    """How evenly a codebook is used."""

    usage: Tensor
    """Share of the entries that were chosen at least once, in [0, 1]."""
    perplexity: Tensor
    """Effective number of entries: exp of the entropy of the choices, in [1, num_codes]."""


def code_use(counts: Tensor) -> CodeUse:
    """Return usage and perplexity from counts (num_codes,) of one batch or of many."""
    p = counts / counts.sum().clamp_min(1)
    return CodeUse((counts > 0).float().mean(), torch.special.entr(p).sum().exp())


class Codebook(nn.Module):
    """Codebook of `num_codes` vectors that follow an encoder's codes in training mode.

    The entries are buffers, so that a checkpoint restores them exactly and no optimizer sees
    them. Distances and averages are float32 even under autocast. With several processes, each
    process quantises its own batch, and all processes update their copies of the codebook by the
    sums over all batches.

    An entry that no batch chose for `revive_after` updates is replaced by a code of the current
    batch (of the first process), drawn by torch's CPU generator. The entries of a new codebook
    count as unused, so the first batch fills them.

    Args:
        num_codes: Number of entries, at least 2.
        code_dim: Size D of an entry.
        decay: Decay of the averages per update, in (0, 1); 0.99 in the paper.
        revive_after: Number of updates, at least 1; None to never replace unused entries.
    """

    codes: Tensor
    sizes: Tensor
    sums: Tensor
    unused: Tensor

    def __init__(
        self, *, num_codes: int, code_dim: int, decay: float, revive_after: int | None
    ) -> None:
        if num_codes < 2:
            raise ValueError(f"model.codebook.num_codes={num_codes}: must be at least 2.")
        if not 0 < decay < 1:
            raise ValueError(f"model.codebook.decay={decay}: must lie between 0 and 1.")
        if revive_after is not None and revive_after < 1:
            raise ValueError(
                f"model.codebook.revive_after={revive_after}: must be 1 or more (updates), or "
                "null for never."
            )
        super().__init__()
        self.num_codes, self.decay, self.revive_after = num_codes, decay, revive_after
        codes = torch.randn(num_codes, code_dim)
        self.register_buffer("codes", codes)
        self.register_buffer("sizes", torch.ones(num_codes))  # N
        self.register_buffer("sums", codes.clone())  # m
        new = 0 if revive_after is None else revive_after
        self.register_buffer("unused", torch.full((num_codes,), new))  # updates since last chosen

    def forward(self, z: Tensor) -> Quantised:
        """Quantise codes (B, D, h, w)."""
        with torch.autocast(z.device.type, enabled=False):
            rows = z.float().permute(0, 2, 3, 1).flatten(0, 2)  # (N, D)
            if self.training:
                self._revive(rows.detach())
            nearest = self._nearest(rows.detach())
            counts = rows.new_zeros(len(self.codes))
            counts.index_add_(
                0, nearest, torch.ones_like(rows[:, 0])
            )  # bincount would wait for the device
            chosen = self.codes[nearest]  # read before the update of the codebook
            commitment = (rows - chosen).square().unflatten(0, (len(z), -1)).sum((1, 2))
            if self.training:
                counts = self._follow(rows.detach(), nearest, counts)
        indices = nearest.unflatten(0, (len(z), *z.shape[2:]))
        quantised = _as_map(chosen, indices).to(z.dtype)
        straight_through = quantised + (z - z.detach())  # equal to the entry, to the bit
        return Quantised(straight_through, indices, commitment, counts)

    def use(self, counts: Tensor) -> CodeUse:
        """Return how evenly the codebook is used, from counts (num_codes,)."""
        return code_use(counts)

    def look_up(self, indices: Tensor) -> Tensor:
        """Return the entries (B, D, h, w) at int64 indices (B, h, w)."""
        return _as_map(self.codes[indices.flatten()], indices)

    def _nearest(self, rows: Tensor) -> Tensor:
        """Return argmin_e ||row - e||^2; ||row||^2 is left out, since it is the same for all e."""
        return torch.addmm(self.codes.square().sum(1), rows, self.codes.T, alpha=-2).argmin(1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Codebook":
        """Keep the averages float32; half precision would round their small changes to 0."""
        super()._apply(fn, recurse)  # Lightning's bf16-true converts float buffers too
        # (test_codebook_averages_keep_their_precision_in_half_precision)
        for name in ("codes", "sizes", "sums"):
            setattr(self, name, getattr(self, name).float())
        return self

    @torch.no_grad()
    def _follow(self, rows: Tensor, nearest: Tensor, counts: Tensor) -> Tensor:
        """Update the codebook, and return the counts of all processes."""
        sums = torch.zeros_like(self.sums).index_add_(0, nearest, rows)
        if _is_shared():
            both = torch.cat([counts[:, None], sums], dim=1)
            distributed.all_reduce(both)
            counts, sums = both[:, 0], both[:, 1:]
        self.sizes.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        large = (self.sizes > MIN_SIZE)[:, None]
        self.codes.copy_(torch.where(large, self.sums / self.sizes[:, None], self.codes))
        self.unused.add_(1).masked_fill_(counts > 0, 0)
        return counts

    @torch.no_grad()
    def _revive(self, rows: Tensor) -> None:
        """Replace unused entries; every update draws the same number of random values."""
        if self.revive_after is None:
            return
        order = torch.randperm(len(rows)).to(rows.device)
        drawn = rows[order[torch.arange(len(self.codes), device=rows.device) % len(rows)]]
        if _is_shared():
            distributed.broadcast(drawn, 0)
        dead = self.unused >= self.revive_after
        self.codes.copy_(torch.where(dead[:, None], drawn, self.codes))
        self.sums.copy_(torch.where(dead[:, None], drawn, self.sums))
        self.sizes.masked_fill_(dead, 1.0)
        self.unused.masked_fill_(dead, 0)


def _as_map(rows: Tensor, indices: Tensor) -> Tensor:
    return rows.unflatten(0, indices.shape).movedim(-1, 1)


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()
