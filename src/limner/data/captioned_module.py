"""Data module whose images have captions, which become the tokens of a vocabulary."""

__all__ = ["CaptionedDataModule"]

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from limner.data.batches import TrainingBatches
from limner.data.binarisation import Binarisation
from limner.data.module import ImageDataModule
from limner.data.picture_texts import PictureTexts, first_caption
from limner.data.several_captions import SeveralCaptions
from limner.data.sources import Source, StoreSource
from limner.data.splits import named
from limner.data.store import OnCorrupt, StoreKind
from limner.data.vocabulary import (
    MAX_TOKENS,
    MAX_WORDS,
    Tokenizer,
    Vocabulary,
    parse,
    sizes_of_texts,
    split_words,
)
from limner.errors import UserError
from limner.interfaces import Augmentation


class CaptionedDataModule(ImageDataModule):
    """Batches of images with their captions as `text` int64 (B, L), if the source has captions.

    The vocabulary has the words of the training captions. Validation and test captions may have
    other words, which become the unknown word.

    Args:
        max_words: Largest number of tokens of a caption; the rest of a caption is left out.
        vocabulary_size: Largest number of words of the vocabulary; the rare words are left out.
        vocabulary: Words joined by spaces, such as a vocabulary of an earlier run; or `hf:NAME`
            for the tokens of a pretrained network; None for the words of the training captions.
        num_tokens: Number of tokens of the vocabulary, a fact; None before the data are open.
        text_length: Number L of tokens of each caption; None for that of the longest training
            caption, but at most `max_words`.

    For the other arguments see `ImageDataModule`.
    """

    tokenizer: Tokenizer | None = None
    """Vocabulary of the captions; None without captions."""

    def __init__(
        self,
        *,
        max_words: int,
        vocabulary_size: int,
        vocabulary: str | None,
        num_tokens: int | None,
        text_length: int | None,
        name: str,
        source: Source | StoreSource,
        image_shape: Sequence[int] | None,
        num_classes: int | None,
        batch_size: int,
        augmentation: Augmentation | None,
        binarisation: Binarisation | None,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        seed: int,
        store: StoreKind,
        memory_limit_gib: float,
        on_corrupt: OnCorrupt,
        background: str | Sequence[int],
    ) -> None:
        super().__init__(
            name=name, source=source, image_shape=image_shape, num_classes=num_classes,
            batch_size=batch_size, augmentation=augmentation, binarisation=binarisation,
            validation_fraction=validation_fraction, test_fraction=test_fraction,
            split_seed=split_seed, seed=seed, store=store, memory_limit_gib=memory_limit_gib,
            on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        for key, value, most in (
            ("max_words", max_words, MAX_TOKENS), ("text_length", text_length, MAX_TOKENS),
            ("vocabulary_size", vocabulary_size, MAX_WORDS),
        ):  # fmt: skip
            if value is not None and not 1 <= value <= most:
                raise UserError(f"data.{key}={value}: must be from 1 to {most:,}.")
        self.max_words, self.vocabulary_size = max_words, vocabulary_size
        self.vocabulary, self.num_tokens, self.text_length = vocabulary, num_tokens, text_length
        self._several: dict[str, SeveralCaptions] = {}

    @property
    def has_text(self) -> bool:
        """Whether the images of the opened data have captions."""
        return self.tokenizer is not None

    def open(self) -> None:
        """Open the images, make the vocabulary, and set the facts of the captions.

        Raises:
            UserError: If only some splits have captions, or if a given fact does not fit.
        """
        if self._stores:
            return
        super().open()
        captions = {split: about.captions for split, about in self._about().items()}
        found = {name for name, texts in captions.items() if texts is not None}
        if not found:
            self._refuse_facts_without_captions()
            return
        if missing := sorted(captions.keys() - found):
            raise UserError(f"{self.name}: the split {missing[0]} has no captions, others have.")
        self._make_vocabulary(self._training_captions())
        for split, texts in captions.items():
            several = SeveralCaptions(texts, self.tokenizer, self.text_length)
            self._stores[split].texts = several.first
            if several.are_several:
                self._several[split] = several

    def captions(self, split: str, indices: Tensor | Sequence[int]) -> list[str]:
        """Return the caption of each image, the first one if there are several.

        Args:
            split: "train", "validation" or "test".
            indices: Numbers (B,) of images in the store of this split, as `split` returns them.

        Raises:
            UserError: If the images have no captions.
        """
        texts = self._about()[named(self._splits, split)[0]].captions
        if texts is None:
            raise UserError(f"The images of data={self.name} have no captions.")
        return [first_caption(texts[int(i)]) for i in indices]

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        if not self.has_text:
            return super().describe()
        sizes = sizes_of_texts(self.text_length, self.num_tokens)
        return f"{super().describe()}, captions of {sizes}"

    def state_dict(self) -> dict[str, Any]:
        """Return a description of the training images and their captions."""
        state = super().state_dict()
        if self.has_text:
            known = [self.vocabulary, self.text_length, self._training_captions()]
            state["captions"] = hashlib.sha256(json.dumps(known).encode()).hexdigest()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise `UserError` if the training images or captions differ from `state`."""
        super().load_state_dict(state)
        if state.get("captions") != self.state_dict().get("captions"):
            raise UserError(
                f"The training captions of {self.name}, or their vocabulary, differ from those at "
                "the start of\nthis run. Restore the captions, or start a new run."
            )

    def train_dataloader(self) -> TrainingBatches:
        """Return batches of training images; each epoch draws one of several captions."""
        batches = super().train_dataloader()
        batches.captions = self._several.get(self._splits["train"][0])
        return batches

    def _about(self) -> dict[str, PictureTexts]:
        none = PictureTexts()
        return {split: getattr(store, "about", none) for split, store in self._stores.items()}

    def _training_captions(self) -> list[str]:
        """Return all captions of the training images, in order."""
        store, indices = self._splits["train"]
        captions = self._about()[store].captions
        chosen = (captions[i] for i in indices.tolist())
        return [text for each in chosen for text in ([each] if isinstance(each, str) else each)]

    def _make_vocabulary(self, captions: Sequence[str]) -> None:
        """Set the vocabulary and its facts from the training captions, or check given facts."""
        given = self.num_tokens
        if self.vocabulary is None:
            self.tokenizer = Vocabulary.from_texts(captions, limit=self.vocabulary_size)
        else:
            try:
                self.tokenizer = parse(self.vocabulary)
            except ValueError as error:
                raise UserError(f"data.vocabulary: {error}.") from error
        self.vocabulary, self.num_tokens = self.tokenizer.text, self.tokenizer.num_tokens
        if given not in (None, self.num_tokens):
            raise UserError(
                f"data.num_tokens={given}: it is {self.num_tokens}, by the words of the captions "
                "or\ndata.vocabulary. Leave it null."
            )
        if self.text_length is None:
            longest = max((self._length(text) for text in captions), default=1)
            self.text_length = max(1, min(longest, self.max_words))

    def _length(self, caption: str) -> int:
        """Return the number of tokens of a caption, at most `max_words`."""
        if isinstance(self.tokenizer, Vocabulary):
            return min(len(split_words(caption)), self.max_words)
        return sum(token > 0 for token in self.tokenizer.encode(caption, self.max_words))

    def _refuse_facts_without_captions(self) -> None:
        for key in ("vocabulary", "num_tokens", "text_length"):
            if getattr(self, key) is not None:
                raise UserError(
                    f"data.{key} is given, and the images of data={self.name} have no captions.\n"
                    "Leave it null, or choose data with captions."
                )
