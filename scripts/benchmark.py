"""Measure limner against plain programs that a person would write instead.

    python scripts/benchmark.py                    every case that this machine can train
    python scripts/benchmark.py --quick            under two minutes; fails if limner is too slow
    python scripts/benchmark.py --cases vae_mlp_28 --opponents limner loop loop:plain

All opponents train the same network on the same images, with the same batch size, loss and, in
most cases, weight average:

    limner     python train.py ..., with the callbacks and loggers of its config; limner:DIR uses
               another clone, to compare two versions
    loop       a handwritten loop: images on the device, one gather for a batch. This is the speed
               limit of the same work. Its optimisations can be chosen: loop:plain,
               loop:channels_last, loop:compile, loop:channels_last+compile
    loop:bare  the loop, which only trains: it averages no weights and logs nothing
    tutorial   the style of PyTorch's examples: pictures, transforms, a DataLoader, Adam
    lightning  a LightningModule with the same DataLoader

Each opponent is a separate process. They train in turns, so that other load on the machine affects
all equally. A ratio is the median over the rounds of the ratios within a round, and counts only
updates. Start-up, drawing samples, checkpoints and memory have separate columns. There is no
validation.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.players import OPPONENTS
from benchmarks.race import Race
from benchmarks.report import Result, draw_picture, ratio, table, verdicts, write_csv


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if `--quick` found limner far slower than the loop."""
    options = _parse(words)
    import torch  # slow to import, so not before --help
    from rich import get_console

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    cases = [case for case in CASES if case.name in options.cases] if options.cases else [
        case for case in CASES
        if (case.on_cpu or device == "cuda") and (case.is_quick or not options.quick)
    ]  # fmt: skip
    folder = Path(options.to or f"outputs/benchmark/{time.strftime('%Y-%m-%d_%H-%M-%S')}")
    folder.mkdir(parents=True, exist_ok=True)
    about = _machine(device, options.threads)
    print(about, flush=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="limner-benchmark-") as temporary:
        os.environ["LIMNER_CACHE"] = str(Path(temporary, "cache"))
        race = Race(
            device=device,
            opponents=options.opponents,
            folder=Path(temporary),
            num_images=options.images,
            num_rounds=options.rounds,
            turn_seconds=options.seconds,
            num_threads=options.threads,
            cpu_time=options.cpu_time,
        )
        for case in cases:
            print(f"{case.name} ...", flush=True)
            results += race.run(case)
            write_csv(results, folder / "benchmark.csv")
    draw_picture(results, folder / "benchmark.png", title=about)
    get_console().print(table(results))
    print("\n".join(verdicts(results)))
    print(f"Written to {folder}.")
    return 1 if options.quick and _is_far_behind(results) else 0


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help=(
        "measure limner and the loop only, in few and short rounds; the exit code is 1 only if "
        "limner takes more than 1.5 times the loop's time (2.5 times for vae_tiny_8)"
    ))  # fmt: skip
    parser.add_argument(
        "--cases", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}"
    )
    parser.add_argument(
        "--opponents", nargs="+", metavar="NAME", help=f"of: {', '.join(OPPONENTS)}"
    )
    parser.add_argument(
        "--rounds", type=int, help="number of turns of each opponent (15; quick: 5)"
    )
    parser.add_argument(
        "--seconds", type=float, help="duration of a turn of the loop (1.5; quick: 0.3)"
    )
    parser.add_argument(
        "--images", type=int, default=50_000, help="number of images in the data set (%(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, help="number of threads of torch (default: chosen by torch)"
    )
    parser.add_argument("--cpu-time", action="store_true", help=(
        "measure processor time instead of clock time: a busy machine distorts it less, but it "
        "omits the workers of a DataLoader"
    ))  # fmt: skip
    parser.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        help="device to train on (default: a GPU if there is one)",
    )
    parser.add_argument("--to", metavar="DIR", help="folder for benchmark.csv and benchmark.png")
    options = parser.parse_args(words)
    every = ["limner", "loop", "loop:bare", "tutorial", "lightning"]
    defaults = (["limner", "loop"], 5, 0.3) if options.quick else (every, 15, 1.5)
    for name, value in zip(("opponents", "rounds", "seconds"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, value)
    for opponent in options.opponents:
        if opponent.partition(":")[0] not in OPPONENTS:
            parser.error(f"--opponents {opponent}: choose of {', '.join(OPPONENTS)}")
    return options


def _machine(device: str, num_threads: int | None) -> str:
    """Return a description of the machine in one line."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    if device == "cuda":
        name += f", {torch.cuda.get_device_name()}"
    threads = num_threads or torch.get_num_threads()
    return f"{name}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}"


def _is_far_behind(results: Sequence[Result]) -> bool:
    found = {(result.case, result.opponent): result for result in results}
    return any(
        ratio(found[case, "limner"], found[case, "loop"])[0] > case.gross
        for case in dict.fromkeys(result.case for result in results)
        if {(case, "limner"), (case, "loop")} <= found.keys()
    )


if __name__ == "__main__":
    sys.exit(main())
