"""Every model family trains, and its first losses agree with the CPU's losses in float32."""

__all__ = [
    "FAMILIES", "FIRST_STAGES", "MODELS", "TOLERANCES", "VARIANTS", "compiled", "eager",
    "family_words",
]  # fmt: skip

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from gpu_checks.context import Context, Finding
from gpu_checks.each import each
from gpu_checks.trainings import (
    QUIET,
    KeepLosses,
    data_words,
    device_words,
    narrow,
    new_folder,
    picture_words,
    train,
)
from limner.config.schema import CONFIG_DIR
from limner.randomness import Noise

VARIANTS = {
    "stylegan2": (
        "model=gan", "network=stylegan2", "model/penalty=r1", "model.penalty.r1.weight=auto",
        "model/augmentation=ada",
    ),
    "r3gan": ("model=gan", "network=r3gan", "model/loss=relativistic"),
    "path_length": ("model=gan", "network=stylegan2", "model/penalty=path_length"),
}  # fmt: skip
"""Networks with layers of their own that are checked like families, and their words."""
MODELS = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
"""Names of all models: a new file in conf/model joins by itself."""
FAMILIES = [*MODELS, *VARIANTS]
FIRST_STAGES = {"code_prior": "vqvae", "latent_prior": "rae"}
"""Model of the first stage that a family builds on."""
OF_PICTURES = {
    "restoration": "restoration",
    "super_resolution": "super_resolution",
    "srgan": "super_resolution",
    "pix2pix": "restoration",
    "style_transfer": "pictures",
    "cyclegan": "shapes_styles",
}
"""Families that change pictures, and a data set that each reads."""
OF_FRAMES = {"video_prediction": "moving_shapes", "sequence_vae": "moving_shapes"}
"""Families that read sequences of frames, and a rendered data set that each reads."""
SMALL_PATCHES = ("network.discriminator.receptive_field=16",)
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "latent_prior": ("model/prior=flow",),  # its default is computed in one update
    "srgan": SMALL_PATCHES,
    "pix2pix": SMALL_PATCHES,
    "cyclegan": SMALL_PATCHES,
    "video_prediction": ("data.num_inputs=3", "data.num_targets=3"),
    "sequence_vae": (
        "data.num_inputs=3",
        "data.num_targets=3",
        "network.decoder.patch_size=2",
    ),
}
"""Further words of a family."""
NUM_COMPARED = 10
"""Number of updates whose losses are compared."""
TOLERANCES = {"32-true": 0.01, "bf16-mixed": 0.03}
"""Largest difference of a loss, relative to the largest value of this loss, in each precision.

On a CPU, another order of sums changed the losses of a DCGAN by 0.0025, and bfloat16 changed them
by 0.009. Another seed changed the losses of every tried family by 0.03 or more. On a GPU, float32
is compared without TF32.
"""
ROUNDING_FACTORS = {"cyclegan": 10.0, "style_transfer": 10.0}
"""Factor of the tolerance of bf16-mixed for families that amplify rounding.

Instance norm divides by the deviation of the few pixels of a small crop. On a CPU, bfloat16
changed these losses by 0.14, with crops of 8 pixels.
"""
COMPILED_ON_CPU = ("vae", "gan")
"""Families that a CPU compiles: compiling takes it long, and gains nothing there."""
COMPILE_SECONDS = 25.0
"""Seconds for compiling a family and training it."""


def eager(context: Context) -> Iterator[Finding]:
    """Train every family without torch.compile, in float32 and in bf16-mixed."""
    families = ("vae", "gan") if context.smallest else FAMILIES
    data_words(context)  # writes the images, before several processes read them
    yield from each(_eager, families, context, seconds=5, at_once=context.device == "cuda")


def compiled(context: Context) -> Iterator[Finding]:
    """Train every family with compile=default, in float32 and in bf16-mixed."""
    if context.device == "cpu" and shutil.which("g++") is None:
        yield Finding("compile=default", "g++ is not installed", passed=None)
        return
    if context.smallest:
        yield Finding("compile=default", "takes too long for the smallest form", passed=None)
        return
    data_words(context)
    on_gpu = context.device == "cuda"
    families = FAMILIES if on_gpu else COMPILED_ON_CPU
    yield from each(_compiled, families, context, seconds=COMPILE_SECONDS, at_once=on_gpu)


def family_words(family: str, context: Context) -> list[str]:
    """Return the words of limner's command line that train a family on a small scale."""
    if family in OF_PICTURES:
        data = picture_words(OF_PICTURES[family], context)
    elif family in OF_FRAMES:
        channels, side, _ = context.scale.image_shape
        data = [
            f"data={OF_FRAMES[family]}", f"data.num_channels={channels}",
            f"data.image_size={side}", f"data.batch_size={context.scale.batch_size}",
        ]  # fmt: skip
    else:
        data = data_words(context)
    chosen = VARIANTS.get(family, (f"model={family}",))
    words = [*chosen, *data, *QUIET, *OTHER_WORDS.get(family, ())]
    if family in FIRST_STAGES:
        words.append(f"model.first_stage='{_first_stage(FIRST_STAGES[family], context)}'")
    return [*words, *narrow(words, context.scale.width)]


def largest_difference(
    losses: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]
) -> float:
    """Return the largest difference of a loss, relative to the largest value of this loss.

    Args:
        losses: Losses of each update by name.
        expected: Losses to compare with, of as many updates.
    """
    worst = 0.0
    for name in expected[0]:
        scale = max(abs(row[name]) for row in expected) or 1.0
        for found, row in zip(losses, expected, strict=True):
            difference = abs(found[name] - row[name]) / scale
            worst = max(worst, math.inf if math.isnan(difference) else difference)
    return worst


def _eager(context: Context, family: str) -> Iterator[Finding]:
    expected = _losses(family, context, "cpu", "32-true", only=NUM_COMPARED)
    for precision in TOLERANCES:
        yield _compared(family, context, precision, expected)


def _compiled(context: Context, family: str) -> Iterator[Finding]:
    expected = _losses(family, context, "cpu", "32-true", only=NUM_COMPARED)
    for precision in TOLERANCES if context.device == "cuda" else ("32-true",):
        yield _compared(family, context, precision, expected, "compile=default")


def _compared(
    family: str,
    context: Context,
    precision: str,
    expected: Sequence[Mapping[str, float]],
    *words: str,
) -> Finding:
    what = ", ".join([family, precision, *words])
    losses = _losses(family, context, context.device, precision, *words)
    num_updates = context.scale.num_updates
    if len(losses) != num_updates:
        return Finding(what, f"{len(losses)} instead of {num_updates} updates", passed=False)
    if not all(math.isfinite(value) for row in losses for value in row.values()):
        return Finding(what, "a loss is not finite", passed=False)
    difference = largest_difference(losses[: len(expected)], expected)
    tolerance = TOLERANCES[precision]
    if precision == "bf16-mixed":
        tolerance *= ROUNDING_FACTORS.get(family, 1.0)
    found = f"{num_updates} updates; first {len(expected)} losses differ by {difference:.1g}"
    return Finding(
        what, f"{found} of at most {tolerance:g}", difference <= tolerance,
        {"difference": difference, "tolerance": tolerance},
    )  # fmt: skip


def _losses(
    family: str,
    context: Context,
    device: str,
    precision: str,
    *words: str,
    only: int | None = None,
) -> list[dict[str, float]]:
    """Train a family, and return the losses of each update by name."""
    num_updates = min(context.scale.num_updates, only or context.scale.num_updates)
    keeper = KeepLosses()
    folder = new_folder(context.folder / family)
    with _exact_float32(), _noise_of_cpu():
        train(
            [
                *family_words(family, context), *device_words(device), *words,
                f"trainer.max_steps={num_updates}", f"trainer.precision={precision}",
            ],
            folder,
            keeper,
        )  # fmt: skip
    return keeper.rows


def _first_stage(family: str, context: Context) -> Path:
    """Return the folder of a run of two updates with a checkpoint, in the scale of the check."""
    folder = context.folder / f"first_{family}"
    if not (folder / "checkpoints").exists():
        words = [word for word in QUIET if word != "~callbacks.checkpoints"]
        words = [f"model={family}", *data_words(context), *words, "trainer.max_steps=2"]
        words += narrow(words, context.scale.width)
        train([*words, "accelerator=cpu"], folder)
    return folder


@contextmanager
def _noise_of_cpu() -> Iterator[None]:
    """Draw the noise of every model on the CPU, so that every device gets the same numbers."""
    kept = Noise.normal, Noise.uniform

    def moved(draw):
        def drawn(self: Noise, images: Tensor, *shape: int) -> Tensor:
            like = torch.empty(len(images), dtype=images.dtype)
            return draw(self, like, *shape).to(images.device)

        return drawn

    Noise.normal, Noise.uniform = (moved(draw) for draw in kept)
    try:
        yield
    finally:
        Noise.normal, Noise.uniform = kept


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Switch off TF32, in which a GPU rounds the factors of float32 products to 10 bits."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    kept = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, value in zip(backends, kept, strict=True):
            backend.allow_tf32 = value
