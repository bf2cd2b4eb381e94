"""Measure the cost of several processes, and predict the efficiency of many devices.

    python scripts/scaling.py              two processes against two parallel runs, on the CPU
    python scripts/scaling.py --predict    devices x interconnects, by step time and gradient size

Two processes of one run (`accelerator=ddp_cpu`) share gradients; two parallel runs share only the
machine. The efficiency is the update time of two parallel runs divided by the update time of the
two processes. Both are measured in turns.
"""

import argparse
import csv
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.cases import CASES, Case, fill_cache
from benchmarks.images import save_images
from benchmarks.players import ROOT

NAMES = ("vae_mlp_28", "vae_conv_32", "gan_dcgan_32")
NUM_IMAGES, NUM_UPDATES, EVERY, ROUNDS = 20_000, 60, 10, 4


class Interconnect(NamedTuple):
    """A connection that carries gradients between devices."""

    name: str
    gigabytes_per_second: float
    """Gigabytes per second that pass each device in an all-reduce ("bus bandwidth")."""
    latency: float
    """Seconds that a message takes."""
    most: int = 2**20
    """Largest number of devices that it can connect."""


PATHS = (str(ROOT / "src"), str(ROOT / "scripts"))
INTERCONNECTS = (
    Interconnect("NVLink, one machine", 400, 5e-6, most=8),
    Interconnect("InfiniBand, 8 x 400 Gbit/s a machine", 300, 10e-6),
    Interconnect("Ethernet, 100 Gbit/s a machine", 10, 30e-6),
    Interconnect("Ethernet, 25 Gbit/s a machine", 2.5, 50e-6),
)
"""Interconnects with assumed speeds, as advertised for each kind; none was measured here."""
STEPS, GRADIENTS, DEVICES = (0.005, 0.020, 0.100), (25, 400), (8, 64, 512)
"""Seconds of a step on one device, MiB of its gradients in float32, and numbers of devices."""
OVERLAP = 0.5
"""Share of a step (its backward pass) that runs while gradients are exchanged."""
BUCKET = 25
"""MiB of the last bucket of DDP, whose gradients are ready only after the backward pass."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="scaling.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--predict", action="store_true", help="measures nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(words)
    for line in _predicted() if options.predict else _measured(options.rounds):
        print(line, flush=True)


def efficiency(step: float, mebibytes: float, devices: int, by: Interconnect) -> float:
    """Return the efficiency of a device: step / (step + exposed time of the exchange).

    In an all-reduce among n devices, each device sends 2 (n - 1) / n of the bytes, and waits for
    2 log2 n messages of a tree, one after the other.
    """

    def exchange(mebibytes: float) -> float:
        sent = 2 * (devices - 1) / devices * mebibytes * 2**20
        return sent / (by.gigabytes_per_second * 1e9) + 2 * math.log2(devices) * by.latency

    late = exchange(min(BUCKET, mebibytes))
    return step / (step + max(late, exchange(mebibytes) - OVERLAP * step))


def _predicted() -> Iterator[str]:
    yield f"{'interconnect':37} {'step ms':>7} {'MiB':>4} " + " ".join(
        f"{devices:>5}" for devices in DEVICES
    )
    for by in INTERCONNECTS:
        for step in STEPS:
            for mebibytes in GRADIENTS:
                kept = [
                    f"{efficiency(step, mebibytes, devices, by):5.0%}"
                    for devices in DEVICES
                    if devices <= by.most
                ]
                yield f"{by.name:37} {1000 * step:7.0f} {mebibytes:4} {' '.join(kept)}"


def _measured(rounds: int) -> Iterator[str]:
    yield f"{'case':14} {'apart ms':>9} {'together ms':>12} {'kept':>6}"
    with tempfile.TemporaryDirectory(prefix="limner-scaling-") as temporary:
        os.environ["LIMNER_CACHE"] = str(Path(temporary, "cache"))
        for case in (case for case in CASES if case.name in NAMES):
            images = Path(temporary, f"{case.image_shape[-1]}_{case.image_shape[0]}.npy")
            if not images.exists():
                save_images(images, case.image_shape, num_images=NUM_IMAGES)
                fill_cache(case, images)
            apart, together = [], []
            for number in range(rounds):
                folder = Path(temporary, case.name, str(number))
                apart.append(_time(case, images, folder / "apart", num_runs=2, devices=1))
                together.append(_time(case, images, folder / "together", num_runs=1, devices=2))
            kept = statistics.median(a / b for a, b in zip(apart, together, strict=True))
            yield (
                f"{case.name:14} {1000 * statistics.median(apart):9.1f} "
                f"{1000 * statistics.median(together):12.1f} {kept:6.1%}"
            )


def _time(case: Case, images: Path, folder: Path, *, num_runs: int, devices: int) -> float:
    """Return the seconds of an update, as the mean over runs that train at the same time."""
    folders = [folder / str(number) for number in range(num_runs)]
    processes = [
        subprocess.Popen(
            [
                sys.executable, str(ROOT / "train.py"), *case.overrides(images), "logger=csv",
                f"trainer.max_steps={NUM_UPDATES}", f"callbacks.log.every_num_updates={EVERY}",
                "~callbacks.pictures", "~callbacks.checkpoints", f"hydra.run.dir={own}",
                *(["accelerator=ddp_cpu", f"trainer.devices={devices}"] if devices > 1 else
                  ["accelerator=cpu"]),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for own in folders
    ]  # fmt: skip
    if any(process.wait() for process in processes):
        raise SystemExit(f"A run in {folder} failed.")
    return statistics.mean(_seconds(own, case.batch_size * devices) for own in folders)


def _seconds(folder: Path, num_images: int) -> float:
    """Return the seconds of an update in the median interval, without the first interval."""
    with open(folder / "metrics.csv") as file:
        rates = [
            float(row["time/images_per_second"])
            for row in csv.DictReader(file)
            if row["time/images_per_second"]
        ]
    return num_images / statistics.median(rates[1:])


if __name__ == "__main__":
    main()
