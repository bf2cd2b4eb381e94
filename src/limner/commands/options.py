"""The keys of each command, with their defaults and meanings.

Parsing (`limner.config.command_options`) and `limner COMMAND --help` both read these classes. This
module imports nothing slow, so that help appears at once.
"""
# ruff: noqa: RUF009  `option` returns a field

__all__ = ["Compare", "CompareBlind", "Evaluate", "Export", "Sample", "Search"]

from dataclasses import dataclass

from limner.config.command_options import MISSING, option

TRUST = "packages of your own that the run is made of; their code is run"
CHECKPOINT = "best or last; null: the best where there is one"


@dataclass
class Evaluate:
    """Score a finished run, or pictures."""

    run: str | None = option(
        None, "the folder of a finished run; null: score generated", form="RUN"
    )
    generated: str | None = option(
        None, "a folder or .zip file of pictures; needs reference", form="PATH"
    )
    reference: str | None = option(
        None, "real pictures: a folder, a .zip file, or the name of a data set", form="PATH"
    )
    checkpoint: str | None = option(None, f"of a run: {CHECKPOINT}")
    metrics: str | None = option(
        None, "inception, classifier or auto; null: as the run was scored"
    )
    image_shape: list[int] | None = option(
        None, "the size that pictures of folders are resized to", form="[C,H,W]"
    )
    measures: list[str] = option(
        (),
        "names among diversity, pairwise_similarity, memorisation, reconstruction, likelihood, "
        "latents, gan_train and efficiency; [all]: those that apply",
    )
    lpips: str | None = option(
        None, "alex, vgg or squeeze: adds a learned score of pairs; downloads its weights"
    )
    num_measured: int = option(
        1000, "pictures of each set, at most, for measures that look at single pictures"
    )
    seed: int = option(0, "of the pictures that a run draws")
    to: str | None = option(
        None,
        "the folder for evaluation.json and pictures; null: the run's own, or the working folder",
        form="DIR",
    )
    trust: list[str] = option((), TRUST)


@dataclass
class Sample:
    """Draw pictures of a trained model."""

    run: str = option(
        MISSING, "the folder of a run or of an export, or hf://user/name", form="RUN"
    )
    mode: str = option(
        "grid",
        "grid, classes (a row for each), folder (a file for each), npz, interpolate, traverse, or "
        "progress (a film of the training)",
    )
    num_images: int | None = option(
        None,
        "null: 64; classes: pictures in a row (10); interpolate: samples on the way (4); "
        "traverse: directions (8)",
    )
    num_steps: int = option(9, "columns of interpolate and traverse")
    seed: int = option(0, "the same seed draws the same pictures")
    to: str | None = option(
        None, "the file or folder to write; null: in the run's folder", form="PATH"
    )
    labels: list[int] | None = option(
        None, "one class for all pictures, or one for each; classes: the rows"
    )
    truncation: float | None = option(
        None, "a factor of the codes: below 1, pictures are nearer to the average; null: 1"
    )
    interpolation: str = option("spherical", "spherical or linear")
    reach: float = option(
        3.0, "how far traverse goes from 0 in each direction, in standard deviations"
    )
    checkpoint: str | None = option(None, CHECKPOINT)
    device: str | None = option(None, "cpu, cuda or mps; null: the fastest one here")
    trust: list[str] = option((), TRUST)


@dataclass
class Export:
    """Write weights, config and model card for others to load."""

    run: str = option(MISSING, "the folder of a run", form="RUN")
    to: str = option(MISSING, "a new folder, or hf://user/name", form="DIR")
    onnx: bool = option(False, "true: model.onnx too, the sampling network")
    license: str | None = option(None, "an identifier for the model card, such as mit")
    checkpoint: str | None = option(None, CHECKPOINT)
    trust: list[str] = option((), TRUST)


@dataclass
class Compare:
    """Show the scores of runs side by side."""

    to: str | None = option(None, "a .csv file to write the table to", form="FILE")
    by_protocol: bool = option(
        False, "true: one table for each way of scoring, instead of a refusal to mix them"
    )
    ignore: list[str] = option(("weights",), "keys of the protocol that may differ")
    picture: str | None = option(
        None,
        "a picture of the score against each swept value; null: scores.png in the folder of a "
        "sweep, if that is compared",
        form="FILE",
    )


@dataclass
class CompareBlind:
    """With --blind: write a page on which a person chooses among pictures."""

    to: str = option("blind.html", "the page to write", form="FILE")
    num_trials: int = option(20, "choices to make, at most")
    num_images: int = option(1, "pictures of each side in one choice")
    seed: int = option(
        0, "of the order in which pictures are stored; the browser draws each visitor's own"
    )


@dataclass
class Search:
    """Try values of config keys, the promising ones more often."""

    study: str = option(
        MISSING, "the name: outputs/searches/NAME; a study that exists is continued", form="NAME"
    )
    space: str = option(
        MISSING, "a YAML file of what to vary, or the name of one in conf/search", form="FILE"
    )
    num_trials: int | None = option(
        None, "trials of the whole study, by all workers; null: a whole grid"
    )
    num_workers: int = option(1, "trials at a time here; the same command may run elsewhere too")
    storage: str | None = option(
        None, "URL of a database; null: a journal in the study's folder", form="URL"
    )
    sampler: str = option("tpe", "tpe, random, cmaes or grid")
    pruner: str = option(
        "median",
        "median (stop a trial that is worse than the median of the earlier ones after as many "
        "epochs) or none",
    )
