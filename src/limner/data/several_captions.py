"""Tokens of images with several captions each; each epoch of training draws one of them."""

__all__ = ["SeveralCaptions"]

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.data.vocabulary import Tokenizer
from limner.randomness import hashed, seed_for


class SeveralCaptions:
    """All captions of N images as tokens.

    Args:
        captions: One caption or several of each image.
        tokenizer: Words and their tokens.
        length: Number L of tokens of a caption.
    """

    def __init__(
        self, captions: Sequence[str | Sequence[str]], tokenizer: Tokenizer, length: int
    ) -> None:
        every = [[each] if isinstance(each, str) else list(each) for each in captions]
        self.counts = torch.tensor([len(each) for each in every], dtype=torch.int64)
        self.starts = self.counts.cumsum(0) - self.counts
        tokens = [tokenizer.encode(caption, length) for each in every for caption in each]
        self.tokens = torch.tensor(tokens, dtype=torch.int64).view(-1, length)

    @property
    def first(self) -> Tensor:
        """Tokens int64 (N, L) of the first caption of each image."""
        return self.tokens[self.starts]

    @property
    def are_several(self) -> bool:
        """Whether some image has more than one caption."""
        return len(self.tokens) > len(self.counts)

    def drawn(self, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Draw a caption of each image, a pure function of (seed, epoch, image).

        Args:
            indices: int64 (B,): numbers of the images.
            seed: Seed of the run.
            epoch: Number of the epoch.

        Returns:
            Tokens int64 (B, L) on the CPU.
        """
        indices = indices.cpu()
        draws = hashed(indices + seed_for(seed, "captions", epoch)).double() / 2**24
        chosen = (draws * self.counts[indices]).long()
        return self.tokens[self.starts[indices] + chosen]
