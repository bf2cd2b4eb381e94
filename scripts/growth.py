"""Measure how limner's time grows with the model, and its memory with the data.

    python scripts/growth.py                    time of an update by batch size, image size, width
    python scripts/growth.py --memory 1 4 20    peak memory by GiB of images in a mapped store

The time is measured as in `benchmark.py`. With `--memory`, synthetic images are written to a store
of each size in a temporary folder, and a small network trains on them for some updates. The disk
needs space for the largest store.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import CASES, Case, fill_cache
from benchmarks.images import save_images
from benchmarks.players import ROOT, Player

NUM_IMAGES = 1000
WARM_UP, ROUNDS = 2, 5
SHAPE = (3, 256, 256)
"""Shape of the images in a large store; an image has 192 KiB."""
UPDATES = 800  # number of updates: with 64 images each, they read 9.4 GiB
DCGAN, CONV = CASES[2], CASES[1]


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="growth.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--memory", nargs="+", type=float, metavar="GIB", help="sizes of a store")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="limner-growth-") as temporary:
        os.environ["LIMNER_CACHE"] = str(Path(temporary, "cache"))
        for line in (
            _memory(options.memory, Path(temporary)) if options.memory else _times(Path(temporary))
        ):
            print(line, flush=True)


def _times(folder: Path) -> Iterator[str]:
    yield f"{'case':16} {'what':>12} {'value':>6} {'ms':>9} {'us an image':>12}"
    for case in (CONV, DCGAN):
        for what, value, grown in _grown(case):
            milliseconds = _time(grown, folder)
            each = 1000 * milliseconds / grown.batch_size
            yield f"{case.name:16} {what:>12} {value:6} {milliseconds:9.2f} {each:12.1f}"


def _grown(case: Case) -> Iterator[tuple[str, int, Case]]:
    """Yield (quantity, value, case) with other batch sizes, image sizes and widths."""
    parts = ("encoder", "decoder") if "model=vae" in case.choices else (
        "generator", "discriminator",
    )  # fmt: skip
    for batch_size in (8, 32, 128):
        yield "batch size", batch_size, replace(case, batch_size=batch_size)
    for size in (16, 32, 64):
        yield "image size", size, replace(case, image_shape=(3, size, size), batch_size=32)
    for width in (16, 32, 64):
        chosen = [f"network.{part}.width={width}" for part in parts]
        chosen += [f"network.{part}.max_width={8 * width}" for part in parts]
        yield "width", width, replace(case, choices=(*case.choices, *chosen), batch_size=32)


def _time(case: Case, folder: Path) -> float:
    """Return the milliseconds of an update in the median round."""
    images = folder / f"{case.image_shape[-1]}.npy"
    if not images.exists():
        save_images(images, case.image_shape, num_images=NUM_IMAGES)
        fill_cache(case, images)
    own = folder / str(time.monotonic_ns())
    player = Player("limner", case, images=images, folder=own, device="cpu", num_threads=None)
    try:
        pace = player.train(unmeasured=WARM_UP, measured=2)
        measured = max(2, min(300, round(0.5 / pace)))
        rounds = [player.train(unmeasured=1, measured=measured) for _ in range(ROUNDS)]
        return 1000 * statistics.median(rounds)
    finally:
        player.end()


def _memory(sizes: Sequence[float], folder: Path) -> Iterator[str]:
    yield f"{'GiB':>6} {'images':>8} {'own memory MiB':>15} {'with the file MiB':>18} {'s':>6}"
    for size in sizes:
        num_images = round(size * 2**30 / (SHAPE[0] * SHAPE[1] * SHAPE[2]))
        own, whole, seconds = _peak(num_images, folder / str(num_images))
        yield f"{size:6.1f} {num_images:8,} {own:15,.0f} {whole:18,.0f} {seconds:6.0f}"


def _peak(num_images: int, folder: Path) -> tuple[float, float, float]:
    """Return the peak memory in MiB without and with the pages of the file, and the seconds.

    The system can reclaim the pages of the file when another process needs memory.
    """
    folder.mkdir()
    start = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable, str(ROOT / "train.py"), "model=vae", "network=mlp",
            "network.encoder.hidden_dims=[16]", "network.decoder.hidden_dims=[16]",
            "data=image_folder", "data.source._target_=benchmarks.images.MadeUpImages",
            f"+data.source.num_images={num_images}", f"+data.source.size={SHAPE[-1]}",
            f"data.path={folder}", f"data.image_shape={list(SHAPE)}", "data.store=mapped",
            "data.batch_size=64", "data.validation_fraction=0", "data.test_fraction=0",
            "optimizer.lr=1e-7", f"trainer.max_steps={UPDATES}", "trainer.max_epochs=-1",
            "metrics=none", "logger=none", "~callbacks.pictures", "~callbacks.checkpoints",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'scripts'}"},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    peaks = {"RssAnon": 0.0, "VmRSS": 0.0}
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in peaks:
                peaks[name] = max(peaks[name], int(value.split()[0]) / 1024)
        time.sleep(0.1)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    return peaks["RssAnon"], peaks["VmRSS"], time.monotonic() - start


if __name__ == "__main__":
    main()
