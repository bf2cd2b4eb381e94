"""Vector quantisation: a map of codes, each replaced by the nearest of a learned book.

    quantised = e_k,  k = argmin_j ||z - e_j||^2
    gradient of z: that of `quantised`, passed straight through
    commitment = ||z - sg(e_k)||^2

van den Oord et al. (2017), equations 1 to 3, https://arxiv.org/abs/1711.00937. The book is not
trained by a gradient but follows the codes (appendix A.1): N_j <- decay N_j + (1 - decay) n_j,
m_j <- decay m_j + (1 - decay) sum of the n_j codes nearest to e_j, and e_j = m_j / N_j.
"""

__all__ = ["CodeUse", "Codebook", "Quantised", "code_use"]

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

MIN_SIZE = 1e-5  # N_j under which a code stays where it is


class Quantised(NamedTuple):
    """What a codebook makes of a map of codes."""

    codes: Tensor
    """(B, D, h, w): entries of the book, with the gradient of what was quantised."""
    indices: Tensor
    """int64 (B, h, w), in [0, num_codes)."""
    commitment: Tensor
    """(B,): ||z - sg(e)||^2, summed over positions and dimensions; to be weighted (0.25)."""
    counts: Tensor
    """(num_codes,): how often each code was chosen, by the batches of all processes."""


class CodeUse(NamedTuple):
    """How evenly a codebook is used."""

    usage: Tensor
    """The part of the codes that were chosen at all, in [0, 1]."""
    perplexity: Tensor
    """exp of the entropy of the codes chosen, in [1, num_codes]: how many, were all alike."""


def code_use(counts: Tensor) -> CodeUse:
    """Of one batch's `counts`, or of the sum of many, (num_codes,)."""
    p = counts / counts.sum().clamp_min(1)
    return CodeUse((counts > 0).float().mean(), torch.special.entr(p).sum().exp())


class Codebook(nn.Module):
    """num_codes vectors that follow an encoder's codes while in training mode.

    The book is state in buffers, so a checkpoint resumes it exactly, and no optimizer sees it.
    Distances and averages are float32 under autocast, too. Of several processes each quantises its
    batch, and all move the book alike, by the sums over their batches.

    A code that no batch chose for `revive_after` updates is replaced by a code of the batch at
    hand (of the first process), drawn by torch's CPU generator. New books count as unused, so the
    first batch fills them.

    Args:
        num_codes: Size of the book, at least 2.
        code_dim: D.
        decay: Of the averages for each update, in (0, 1); 0.99 in the paper.
        revive_after: Updates, at least 1; None to leave unused codes alone.
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
                f"model.codebook.revive_after={revive_after}: updates, at least 1; null for never."
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
        """Of codes (B, D, h, w)."""
        with torch.autocast(z.device.type, enabled=False):
            rows = z.float().permute(0, 2, 3, 1).flatten(0, 2)  # (N, D)
            if self.training:
                self._revive(rows.detach())
            nearest = self._nearest(rows.detach())
            counts = rows.new_zeros(len(self.codes))
            counts.index_add_(0, nearest, torch.ones_like(rows[:, 0]))  # bincount would wait
            chosen = self.codes[nearest]  # before the book moves on
            commitment = (rows - chosen).square().unflatten(0, (len(z), -1)).sum((1, 2))
            if self.training:
                counts = self._follow(rows.detach(), nearest, counts)
        indices = nearest.unflatten(0, (len(z), *z.shape[2:]))
        quantised = _as_map(chosen, indices).to(z.dtype)
        straight_through = quantised + (z - z.detach())  # the value is exactly that of the book
        return Quantised(straight_through, indices, commitment, counts)

    def use(self, counts: Tensor) -> CodeUse:
        """How evenly the book is used, of `counts` (num_codes,)."""
        return code_use(counts)

    def look_up(self, indices: Tensor) -> Tensor:
        """The codes (B, D, h, w) of int64 indices (B, h, w)."""
        return _as_map(self.codes[indices.flatten()], indices)

    def _nearest(self, rows: Tensor) -> Tensor:
        """argmin ||row - e||^2, without ||row||^2, which is the same for all e."""
        return torch.addmm(self.codes.square().sum(1), rows, self.codes.T, alpha=-2).argmin(1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Codebook":
        """Stays float32 where the rest does not, which would round the averages' steps away."""
        super()._apply(fn, recurse)
        for name in ("codes", "sizes", "sums"):
            setattr(self, name, getattr(self, name).float())
        return self

    @torch.no_grad()
    def _follow(self, rows: Tensor, nearest: Tensor, counts: Tensor) -> Tensor:
        """Moves the book, and returns the counts of all processes."""
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
        """Replaces what was not chosen for long; draws alike in every update."""
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
