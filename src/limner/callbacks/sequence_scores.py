"""Scores of a model's sequences: FID and KID of frames, and of the changes between frames."""

__all__ = ["SequenceScores"]

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.score_names import ENDINGS
from limner.callbacks.scores import Scores
from limner.errors import UserError
from limner.interfaces import RealImages, Samples
from limner.metrics.evaluator import Score
from limner.metrics.floor import halves
from limner.metrics.reference import Reference
from limner.metrics.sequence_pictures import (
    BASELINES,
    DIFFERENCES,
    FRAMES,
    PER_SEQUENCE,
    PictureView,
    indices_of,
    pictures_of,
)
from limner.metrics.statistics import ImagesAt, Pause

VIEWS = {"_frames": FRAMES, "_differences": DIFFERENCES}
"""Ending of the name of a score -> kind of the pictures that it compares."""


class SequenceScores(Scores):
    """Callback that scores the sequences of frames that a model draws, and writes `scores.json`.

    `val/fid_frames_lite0` compares frames with frames of real sequences, and
    `val/fid_differences_lite0` compares the differences of neighbouring frames. Two pictures of
    each sequence are compared, see `limner.metrics.sequence_pictures`. Beside the scores of
    differences stand the scores of real sequences without motion (`still`), and with their frames
    in another order (`shuffled`).

    The arguments are the arguments of `Scores`. `num_samples` and `batch_size` count sequences,
    and `max_features` counts pictures.
    """

    kinds = tuple(VIEWS)
    per_sample = PER_SEQUENCE

    def references(
        self,
        data: RealImages,
        device: torch.device,
        *,
        num_samples: int,
        pause: Pause | None = None,
    ) -> dict[str, Reference]:
        """Return the reference of each split and kind of pictures, see `Scores.references`."""
        found = {}
        for split in self.splits:
            store, sequences = data.reference(split)
            parts = halves(sequences, num_samples) if self.floor else [sequences]
            for kind, pictures in VIEWS.items():
                beside = BASELINES if pictures == DIFFERENCES else ()
                found[f"{kind}{ENDINGS[split]}"] = self.evaluator.reference_of(
                    PictureView(store, pictures),
                    [indices_of(part) for part in parts],
                    about={
                        **self.about(data, split, store),
                        "num_frames": data.num_frames,
                        "pictures": pictures,
                        "per_sequence": PER_SEQUENCE,
                    },
                    baselines={name: PictureView(store, name) for name in beside},
                    device=device,
                    pause=pause,
                )
        return found

    def compare(
        self,
        samples: ImagesAt,
        num_samples: int,
        *,
        references: dict[str, Reference],
        device: torch.device,
        pause: Pause | None = None,
    ) -> dict[str, Score]:
        """Return the scores of sequences 0 ... num_samples - 1, see `Scores.compare`."""
        found = {}
        for kind, pictures in VIEWS.items():

            def images(first: int, end: int, pictures: str = pictures) -> Tensor:
                numbers = torch.arange(first // PER_SEQUENCE, end // PER_SEQUENCE)
                frames = samples(first // PER_SEQUENCE, end // PER_SEQUENCE)
                return pictures_of(frames, numbers, pictures)

            found |= self.evaluator.score(
                images,
                num_samples * PER_SEQUENCE,
                references={e: each for e, each in references.items() if e.startswith(kind)},
                device=device,
                pause=pause,
            )
        return found

    def refuse_model(self, model: L.LightningModule, data: Any) -> None:
        """Raise `UserError` if the model draws no sequences of two frames or more."""
        if not (isinstance(model, Samples) and getattr(model, "reads_frames", False)):
            predicts = getattr(model, "reads_frames", False) and hasattr(model, "num_targets")
            fitting = "frames" if predicts else "auto"
            raise UserError(
                "metrics=sequences scores models that draw sequences of frames, and "
                f"{type(model).__name__}\ndoes not: choose metrics={fitting} or metrics=none."
            )
        if data.num_frames < 2:
            raise UserError(
                f"metrics=sequences compares frames that follow one another, and data.num_frames="
                f"{data.num_frames}:\nset data.num_inputs and data.num_targets."
            )

    def check_scores(self, scores: Sequence[str]) -> None:
        """Raise `UserError` for a score that reads single images."""
        if single := [name for name in scores if name in ("inception_score", "modes")]:
            raise UserError(
                f"metrics.scores: {single[0]} reads classes of single images;\n"
                "metrics=sequences has fid, kid and prdc."
            )
