"""The keys of each command, with their defaults and meanings.

Parsing (`limner.config.command_options`) and `limner COMMAND --help` both read these classes. This
module imports nothing slow, so that help appears at once.
"""
# ruff: noqa: RUF009  `option` returns a field

__all__ = ["Compare", "CompareBlind", "Evaluate", "Export", "Sample", "Search", "Transform"]

from dataclasses import dataclass

from limner.config.command_options import MISSING, option

TRUST = (
    "packages of your own that the run uses; limner runs their code; --config-dir DIR or "
    "PYTHONPATH=DIR lets Python find"
)
CHECKPOINT = "best or last checkpoint; null: the best if there is one, else the last"


@dataclass
class Evaluate:
    """Score a finished run, or pictures."""

    run: str | None = option(
        None, "the folder of a finished run; null: score the pictures of generated", form="RUN"
    )
    generated: str | None = option(
        None, "a folder or .zip file of pictures; needs reference", form="PATH"
    )
    reference: str | None = option(
        None, "real pictures: a folder, a .zip file, or the name of a data set", form="PATH"
    )
    checkpoint: str | None = option(None, f"checkpoint of the run: {CHECKPOINT}")
    metrics: str | None = option(
        None,
        "inception, classifier, lite0, captions, modes, pictures, sequences or auto; null: those "
        "of the run",
    )
    image_shape: list[int] | None = option(
        None, "the size to which pictures of folders are resized", form="[C,H,W]"
    )
    measures: list[str] = option(
        (),
        "any of diversity, pairwise_similarity, memorisation, reconstruction, likelihood, "
        "latents, gan_train and efficiency; [all]: all measures that apply",
    )
    lpips: str | None = option(
        None, "network of LPIPS: alex, vgg or squeeze (downloads its weights); null: no LPIPS"
    )
    num_measured: int = option(
        1000, "the largest number of pictures of each set for measures of single pictures"
    )
    seed: int = option(0, "the seed of the pictures that the run draws")
    to: str | None = option(
        None,
        "the folder for evaluation.json and pictures; null: the folder of the run, or the "
        "working folder if there is no run",
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
        "grid, classes (a row for each class), captions (a row for each text), folder (a file "
        "for each picture), npz, interpolate, traverse, steps (in which model=draw paints), "
        "progress (a film of the training); of network=stylegan2: mixing (rows give the coarse "
        "styles, columns the others), directions (what changes most), or project (find the "
        "style of a picture)",
    )
    num_images: int | None = option(
        None,
        "number of pictures (64); mode=classes and captions: pictures in a row (10 and 8); "
        "mode=interpolate: samples that the path joins (4); mode=traverse and directions: "
        "directions (8); mode=steps: samples (8); mode=mixing: rows, and columns (5)",
    )
    num_steps: int = option(9, "number of columns of interpolate, traverse and directions")
    seed: int = option(0, "the seed of the pictures: the same seed draws the same pictures")
    to: str | None = option(
        None, "the file or folder to write; null: in the run's folder", form="PATH"
    )
    labels: list[int] | None = option(
        None,
        "one class for all pictures, or a class for each picture; mode=classes: the "
        "classes to show",
    )
    text: str | None = option(
        None,
        "one text for all pictures, or several in brackets, a text for each picture; "
        "mode=captions: a row for each text; null: texts of training pictures",
    )
    truncation: float | None = option(
        None,
        "a factor of the codes, or of the styles' distances to the mean style: with a factor "
        "below 1, pictures are nearer to the average; null: 1",
    )
    interpolation: str = option("spherical", "the path between codes: spherical or linear")
    reach: float | None = option(
        None,
        "mode=traverse: the largest distance from code 0, in standard deviations (3); "
        "mode=directions: the largest distance from the sample (1), where 1 is the usual "
        "distance of a style from the mean style",
    )
    layers: list[int] | None = option(
        None,
        "layers of a style generator, from 0, the coarsest: whose styles the rows of mixing "
        "give (null: the coarser half), or that directions changes (null: all)",
    )
    input: str | None = option(
        None, "mode=project: the picture, which is cropped to the model's size", form="FILE"
    )
    num_updates: int = option(1000, "mode=project: number of updates of the style")
    lr: float = option(0.1, "mode=project: the largest learning rate of the style")
    checkpoint: str | None = option(None, CHECKPOINT)
    device: str | None = option(None, "cpu, cuda or mps; null: the fastest device here")
    trust: list[str] = option((), TRUST)


@dataclass
class Transform:
    """Change pictures with a trained model: enlarge, restore, translate; predict frames."""

    run: str = option(
        MISSING, "the folder of a run or of an export, or hf://user/name", form="RUN"
    )
    input: str = option(
        MISSING,
        "a picture, or a folder or .zip file of pictures; transparent pixels are the holes "
        "that a model fills; for a model that predicts frames: a video, or a folder of frames",
        form="PATH",
    )
    output: str = option(
        MISSING,
        "the folder for the results, with the names of the pictures (.png instead of formats "
        "with loss); predicted frames also fit a .gif or .mp4 file",
        form="FOLDER",
    )
    num_targets: int | None = option(
        None, "number of frames to predict; null: as in training, or another model"
    )
    with_inputs: bool = option(
        False,
        "a .gif or .mp4 to look at: the frames of the input, then the predicted frames with an "
        "orange border, and small frames enlarged; false: the predicted frames alone, unchanged",
    )
    frames_per_second: float | None = option(
        None,
        "speed of a .gif or .mp4 of predicted frames; null: the speed of the input, or 5 for a "
        "folder of frames",
    )
    direction: str | None = option(
        None, "of a CycleGAN: ab (domain A to domain B) or ba; null for other models"
    )
    style: str | None = option(
        None, "of a style transfer: the name of a style; null: the only style, or another model"
    )
    views: str = option(
        "folder",
        "of a model of several views: folder (the pictures of a folder are the views of one "
        "picture), frames (each picture with its neighbours in its folder) or single",
    )
    tile: int | None = option(
        256,
        "height and width of the parts in which large pictures are processed, in pixels of the "
        "input; smaller parts need less memory; null: whole pictures; the results are the same",
    )
    existing: str = option(
        "refuse", "what to do if results exist already: refuse, skip or overwrite"
    )
    checkpoint: str | None = option(None, CHECKPOINT)
    device: str | None = option(None, "cpu, cuda or mps; null: the fastest device here")
    trust: list[str] = option((), TRUST)


@dataclass
class Export:
    """Write weights, config and model card for others to load."""

    run: str = option(MISSING, "the folder of a run", form="RUN")
    to: str = option(MISSING, "a new folder, or hf://user/name", form="DIR")
    onnx: bool = option(False, "true: also write the network as model.onnx")
    license: str | None = option(None, "an identifier for the model card, such as mit")
    checkpoint: str | None = option(None, CHECKPOINT)
    trust: list[str] = option((), TRUST)


@dataclass
class Compare:
    """Show the scores of runs side by side."""

    to: str | None = option(None, "a .csv file to write the table to", form="FILE")
    by_protocol: bool = option(
        False,
        "true: print one table for each protocol of scoring; false: refuse scores of "
        "several protocols",
    )
    ignore: list[str] = option(("weights",), "keys of the protocol that may differ between scores")
    picture: str | None = option(
        None,
        "the file for a plot of the score against each swept value; null: scores.png in the "
        "folder of the sweep, if a sweep is compared",
        form="FILE",
    )


@dataclass
class CompareBlind:
    """With --blind: write a page on which a person chooses among pictures."""

    to: str = option("blind.html", "the page to write", form="FILE")
    num_trials: int = option(20, "the largest number of choices")
    num_images: int = option(1, "number of pictures on each side of a choice")
    seed: int = option(
        0,
        "the seed of the order of the stored pictures; the browser draws another order for "
        "each visitor",
    )


@dataclass
class Search:
    """Try values of config keys, the promising ones more often."""

    study: str = option(
        MISSING,
        "the name of the study in outputs/searches; an existing study is resumed",
        form="NAME",
    )
    space: str = option(
        MISSING,
        "a YAML file with the keys to vary, or the name of a file in conf/search",
        form="FILE",
    )
    num_trials: int | None = option(
        None, "number of trials of the whole study, over all workers; null: all points of a grid"
    )
    num_workers: int = option(
        1, "number of parallel trials here; the same command may also run on other machines"
    )
    storage: str | None = option(
        None, "URL of a database; null: a journal in the study's folder", form="URL"
    )
    sampler: str = option("tpe", "tpe, random, cmaes or grid")
    pruner: str = option(
        "median",
        "median (stop a trial that is worse than the median of earlier trials at the same "
        "epoch) or none",
    )
