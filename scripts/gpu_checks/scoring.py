"""Seconds for scoring many samples, and seconds of training until a GAN has a score."""

__all__ = ["ScoreAt", "scoring", "time_to_score"]

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L

from gpu_checks.context import Context, Finding
from gpu_checks.trainings import QUIET, data_words, device_words, narrow, train
from limner.callbacks.scores import Scores
from limner.training.run import Run

EXPERIMENT = "sngan_diffaugment_cifar10"
"""The best GAN of conf/experiment."""
NUM_SCORED = {"cuda": 10_000, "cpu": 200}
"""Number of samples of this GAN that are scored each time."""
NUM_CLASSIFIER_UPDATES = {"cuda": 1500, "cpu": 50}
SCORE = "val/fid_classifier"
SCORING = (
    *(word for word in QUIET if word != "metrics=none"), "metrics=classifier",
    "metrics.scores=[fid]", "metrics.every_num_epochs=1000000",
)  # fmt: skip


class ScoreAt(L.Callback):
    """Callback that scores a run after given seconds of training, and then ends the training.

    Scoring does not count as training. A score for which the time is too short is left out.

    Args:
        marks: Seconds of training, in rising order.
        left: Function that returns the seconds until the check must end.
    """

    def __init__(self, marks: Sequence[float], left: Callable[[], float]) -> None:
        self.marks, self.left = list(marks), left
        self.found: list[tuple[float, int, float]] = []
        """Seconds of training, number of updates and value of each score."""

    def on_train_start(self, *args: object) -> None:
        self._start = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        begin = time.monotonic()
        seconds = begin - self._start
        if seconds < self.marks[0]:
            return
        scores = _scores_of(trainer)
        scores.score_update(trainer, model)
        self.found.append((seconds, trainer.global_step, scores.latest[SCORE]["value"]))
        self.marks.pop(0)
        taken = time.monotonic() - begin
        self._start += taken
        if not self.marks or self.left() < self.marks[0] - seconds + 2 * taken:
            trainer.should_stop = True
            self.marks = [float("inf")]  # a batch may follow


def scoring(context: Context) -> Iterator[Finding]:
    """Measure the seconds of a scoring with FID in the features of a classifier."""
    seconds: dict[str, float] = {}

    def watch(run: Run) -> None:
        scores = _scores_of(run.trainer)
        for name in ("references", "score_update"):
            setattr(scores, name, _timed(getattr(scores, name), name, seconds))

    num_samples = context.scale.num_samples
    words = [
        "model=gan", *data_words(context), *SCORING, *device_words(context.device),
        "metrics.features.num_updates=50", f"metrics.num_samples={num_samples}",
        "trainer.max_steps=1",
    ]  # fmt: skip
    words += narrow(words, context.scale.width)
    train(words, context.folder / "run", change=watch)
    taken = seconds["score_update"] - seconds["references"]
    shape = "x".join(map(str, context.scale.image_shape))
    yield Finding(
        f"{num_samples:,} samples of {shape}",
        f"{taken:.1f} s, {num_samples / taken:,.0f} images/s; "
        f"{context.scale.num_images:,} real images before: {seconds['references']:.1f} s",
        values={"seconds": taken},
    )


def time_to_score(context: Context) -> Iterator[Finding]:
    """Train the best GAN of the experiments, and score it after some seconds of training."""
    given = context.images
    if given is None:
        images = data_words(context)
    else:
        shape = list(context.scale.image_shape)
        images = ["data=image_folder", f"data.path='{given}'", f"data.image_shape={shape}"]
    score_at = ScoreAt(context.scale.marks, context.left)
    words = [
        f"experiment={EXPERIMENT}", *images, *SCORING, *device_words(context.device),
        f"metrics.num_samples={NUM_SCORED[context.device]}",
        f"metrics.features.num_updates={NUM_CLASSIFIER_UPDATES[context.device]}",
        "lr_schedule=constant", "trainer.max_steps=100000000",
        *(["trainer.precision=bf16-mixed"] if context.device == "cuda" else []),
    ]  # fmt: skip
    words += narrow(words, context.scale.width)
    train(words, context.folder / "run", score_at)
    kind = "synthetic images" if given is None else given.name
    for seconds, update, value in score_at.found:
        yield Finding(
            f"{kind}, {seconds:.1f} s of training",
            f"FID {value:.2f} in classifier features, at update {update:,}",
            values={"seconds": seconds, "update": update, "fid": value},
        )
    for mark in context.scale.marks[len(score_at.found) :]:
        yield Finding(f"{kind}, {mark:g} s of training", "no time left", passed=None)


def _scores_of(trainer: L.Trainer) -> Scores:
    return next(callback for callback in trainer.callbacks if isinstance(callback, Scores))


def _timed(
    function: Callable[..., Any], name: str, seconds: dict[str, float]
) -> Callable[..., Any]:
    """Return a function that also adds the seconds of each call to `seconds`."""

    def timed(*args: Any, **options: Any) -> Any:
        start = time.monotonic()
        result = function(*args, **options)
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
        return result

    return timed
