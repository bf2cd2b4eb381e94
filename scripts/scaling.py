"""Measures what several processes cost, and works out what many devices would give.

    python scripts/scaling.py              two processes against two runs side by side, on the CPU
    python scripts/scaling.py --predict    devices x interconnects, by step time and gradient size

Two processes of one run (`accelerator=ddp_cpu`) share gradients; two runs side by side share
nothing but the machine. So the second one's time of an update by the first one's is what a device
keeps of its speed. The two take turns.
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

ROOT = Path(__file__).parents[1]
CASES = {
    "vae_mlp_28": ("model=vae", "model/network=mlp", 128),
    "vae_conv_32": ("model=vae", "data.image_shape=[3,32,32]", 64),
    "gan_dcgan_32": ("model=gan", "data.image_shape=[3,32,32]", 64),
}
"""Words of the command line, and images of a step on each device."""
NUM_UPDATES, EVERY, ROUNDS = 60, 10, 4


class Interconnect(NamedTuple):
    """What carries gradients between devices."""

    name: str
    gigabytes_per_second: float
    """That pass each device in an all-reduce ("bus bandwidth")."""
    latency: float
    """Seconds of a message."""
    most: int = 2**20
    """Devices that it can connect."""


INTERCONNECTS = (
    Interconnect("NVLink, one machine", 400, 5e-6, most=8),
    Interconnect("InfiniBand, 8 x 400 Gbit/s a machine", 300, 10e-6),
    Interconnect("Ethernet, 100 Gbit/s a machine", 10, 30e-6),
    Interconnect("Ethernet, 25 Gbit/s a machine", 2.5, 50e-6),
)
"""Assumed, after what each kind is sold for; nothing of this has been measured here."""
STEPS, GRADIENTS, DEVICES = (0.005, 0.020, 0.100), (25, 400), (8, 64, 512)
"""Seconds of a step on one device, MiB of its gradients in float32, devices."""
OVERLAP = 0.5
"""The share of a step, its backward pass, that runs while gradients are on their way;"""
BUCKET = 25
"""but the last MiB of them, a bucket of DDP's, are there only when it is over."""


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command line."""
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
    """What a device keeps of its speed: step / (step + what of the exchange is not hidden).

    An all-reduce among n devices takes each of them 2 (n - 1) / n of the bytes, and trees of
    2 log2 n messages, one after the other.
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
        for name, (*words, batch_size) in CASES.items():
            apart, together = [], []
            for number in range(rounds):
                folder = Path(temporary, name, str(number))
                apart.append(_time(words, batch_size, folder / "apart", num_runs=2, devices=1))
                together.append(
                    _time(words, batch_size, folder / "together", num_runs=1, devices=2)
                )
            kept = statistics.median(a / b for a, b in zip(apart, together, strict=True))
            yield (
                f"{name:14} {1000 * statistics.median(apart):9.1f} "
                f"{1000 * statistics.median(together):12.1f} {kept:6.1%}"
            )


def _time(
    words: Sequence[str], batch_size: int, folder: Path, *, num_runs: int, devices: int
) -> float:
    """Seconds of an update, the mean over runs that train at the same time."""
    folders = [folder / str(number) for number in range(num_runs)]
    processes = [
        subprocess.Popen(
            [
                sys.executable, str(ROOT / "train.py"), *words, "data=digits", "metrics=none",
                f"data.batch_size={batch_size}", "data.validation_fraction=0", "logger=csv",
                f"trainer.max_steps={NUM_UPDATES}", f"callbacks.log.every_num_updates={EVERY}",
                "~callbacks.pictures", "~callbacks.checkpoints", f"hydra.run.dir={own}",
                *(["accelerator=ddp_cpu", f"trainer.devices={devices}"] if devices > 1 else
                  ["accelerator=cpu"]),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for own in folders
    ]  # fmt: skip
    if any(process.wait() for process in processes):
        raise SystemExit(f"A run in {folder} failed.")
    return statistics.mean(_seconds(own, batch_size * devices) for own in folders)


def _seconds(folder: Path, num_images: int) -> float:
    """Of an update in the median interval, the first one left out."""
    with open(folder / "metrics.csv") as file:
        rates = [
            float(row["time/images_per_second"])
            for row in csv.DictReader(file)
            if row["time/images_per_second"]
        ]
    return num_images / statistics.median(rates[1:])


if __name__ == "__main__":
    main()
