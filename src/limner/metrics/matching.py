"""Judge of captions: does an image match its caption better than other captions?

Two encoders map images and captions to unit vectors u and v. They are trained on real pairs with
the symmetric contrastive loss of CLIP (https://arxiv.org/abs/2103.00020), in which s is learned:

    L = (CE(s U V^T, right) + CE(s V U^T, right)) / 2

Pairs with the same meaning are no negatives of each other. The encoder of captions reads the mean
of its word vectors, so it ignores the order of the words.
"""

__all__ = ["MatchingJudge", "choices_for"]

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from limner.errors import UserError
from limner.interfaces import ImageStore
from limner.metrics.judges import JudgeTraining, trained_judge
from limner.metrics.weights import weights_hash
from limner.pixels import to_float
from limner.randomness import generator_for

WHAT = "the judge of captions"
MAX_WORDS = 20_000
"""Largest number of words that the judge learns, the most frequent ones."""
MAX_SCALE = 100.0
"""Largest factor s of the cosines, as in CLIP."""
UNKNOWN = 0
"""Number of all words that the judge has not learned."""

Words = Sequence[str]
"""Words of a caption."""


class MatchingJudge:
    """An encoder of images and an encoder of captions, trained on real pairs.

    Args:
        network: Network from images in [-1, 1] to vectors (B, D).
        word_features: Size of the vector of a word.
        num_choices: Number of captions among which the right caption must be found, at least 2.
        num_updates: Number of updates.
        batch_size: Number of pairs per update, at least 2.
        learning_rate: Learning rate of the first update; it falls linearly to 0.
        seed: Seed of the initial weights, of the order of the pairs, and of the choices.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        word_features: int,
        num_choices: int,
        num_updates: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        for name, value, least in (
            ("num_choices", num_choices, 2), ("num_updates", num_updates, 1),
            ("batch_size", batch_size, 2),
        ):  # fmt: skip
            if value < least:
                raise UserError(f"metrics.matching.{name}={value}: must be {least} or more.")
        self._network, self.word_features = network.cpu(), word_features
        self.num_choices = num_choices
        self.training = JudgeTraining(num_updates, batch_size, learning_rate, seed)

    def prepare(
        self,
        store: ImageStore,
        indices: Tensor,
        captions: Sequence[Words],
        meanings: Sequence[Hashable],
    ) -> None:
        """Train both encoders on real pairs, or load them from the cache.

        Args:
            store: Store of the training images.
            indices: int64 (N,): indices of the training images.
            captions: Words of the caption of each image.
            meanings: Meaning of each caption; captions of one meaning are no negatives.
        """
        counts: dict[str, int] = {}
        for words in captions:
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_WORDS]
        self._numbers = {word: number for number, word in enumerate(kept, UNKNOWN + 1)}
        with torch.no_grad():
            size = self._network(to_float(store.gather(indices[:1]))).shape[1]
        self._judge = _Encoders(self._network, len(kept) + 1, self.word_features, size)
        tokens = [self._tokens(words) for words in captions]
        names = {meaning: number for number, meaning in enumerate(dict.fromkeys(meanings))}
        numbers = torch.tensor([names[meaning] for meaning in meanings])
        place = torch.zeros(int(indices.max()) + 1, dtype=torch.int64)
        place[indices] = torch.arange(len(indices))

        def step(batch: Tensor) -> tuple[Tensor, Tensor]:
            pairs = place[batch]
            images = self._judge.of_images(to_float(store.gather(batch)))
            texts = self._judge.of_texts([tokens[i] for i in pairs.tolist()])
            scores = self._judge.scale() * images @ texts.T
            right = torch.arange(len(pairs))
            same = numbers[pairs][:, None] == numbers[pairs]
            scores = scores.masked_fill(same & ~torch.eye(len(pairs), dtype=torch.bool), -1e9)
            loss = (cross_entropy(scores, right) + cross_entropy(scores.T, right)) / 2
            return loss, scores.argmax(1) == right

        trained_judge(
            self._judge, step, store, indices, self.training, what=WHAT,
            facts=[[list(words) for words in captions], numbers.tolist()],
        )  # fmt: skip
        self.num_pairs = len(indices)

    def to(self, device: torch.device) -> "MatchingJudge":
        """Move the encoders to a device."""
        self._judge.to(device)
        return self

    @torch.no_grad()
    def hits(self, images: Tensor, choices: Sequence[Sequence[Words]]) -> Tensor:
        """Return 1 for each image that matches its first caption best, float32 (B,).

        If k captions match equally well, the result is 1/k: a judge that cannot tell captions
        apart guesses.

        Args:
            images: uint8 (B, C, H, W).
            choices: Captions for each image, the right caption first.
        """
        codes = self._judge.of_images(to_float(images))
        found = []
        for code, captions in zip(codes, choices, strict=True):
            scores = self._judge.of_texts([self._tokens(words) for words in captions]) @ code
            best = scores >= scores.max() - 1e-6
            found.append(best[0] / best.sum())
        return torch.stack(found).float().cpu()

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the judge that comparisons of scores need."""
        return {
            "judge": f"encoders of images and captions, trained on {self.num_pairs:,} real pairs",
            "weights_sha256": weights_hash(self._judge.state_dict()),
            "num_choices": self.num_choices,
        }

    def _tokens(self, words: Words) -> list[int]:
        return [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]


def choices_for(
    captions: Sequence[Words], meanings: Sequence[Hashable], *, num_choices: int, seed: int
) -> list[list[Words]]:
    """Return for each caption itself and other captions, each of another meaning than the rest.

    A caption has fewer than `num_choices - 1` others if there are fewer meanings.

    Args:
        captions: Words of N captions.
        meanings: Meaning of each caption.
        num_choices: Number of captions in a choice.
        seed: Seed of the choice.
    """
    first = {meaning: i for i, meaning in reversed(list(enumerate(meanings)))}
    names = list(dict.fromkeys(meanings))
    generator = generator_for(seed, "caption choices")
    found = []
    for words, meaning in zip(captions, meanings, strict=True):
        order = torch.randperm(len(names), generator=generator)[:num_choices].tolist()
        others = [names[i] for i in order if names[i] != meaning][: num_choices - 1]
        found.append([words, *(captions[first[name]] for name in others)])
    return found


class _Encoders(nn.Module):
    """Encoders of images and captions to unit vectors.

    Args:
        network: Network from images to vectors (B, D).
        num_words: Number of words.
        word_features: Size of the vector of a word.
        size: D.
    """

    def __init__(self, network: nn.Module, num_words: int, word_features: int, size: int) -> None:
        super().__init__()
        self.network = network
        self.words = nn.EmbeddingBag(num_words, word_features, mode="mean")
        self.texts = nn.Sequential(
            nn.Linear(word_features, 2 * size), nn.ReLU(), nn.Linear(2 * size, size)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def reset_parameters(self) -> None:
        nn.init.constant_(self.log_scale, 2.3)

    def scale(self) -> Tensor:
        """Return the factor s of the cosines."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def of_images(self, images: Tensor) -> Tensor:
        """Return unit vectors (B, D) of images in [-1, 1]."""
        return normalize(self.network(images), dim=1)

    def of_texts(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Return unit vectors (B, D) of the words of captions."""
        device = self.log_scale.device
        lengths = torch.tensor([0, *map(len, tokens[:-1])])
        flat = torch.tensor([number for each in tokens for number in each], device=device)
        return normalize(self.texts(self.words(flat, lengths.cumsum(0).to(device))), dim=1)
