"""Kill training runs at random moments, resume them, and compare them with uninterrupted runs.

    python scripts/kill_test.py                                   all tests, about half an hour
    python scripts/kill_test.py --models vae --processes 1 --kills 5

One run of each kind is trained without interruption. A second run with the same config is killed
by SIGKILL again and again, and resumed each time. Kills come at random updates; every third kill
comes while a checkpoint is being written; with several processes, every second kill hits only one
of them. Then every checkpoint that both runs have, the rows of metrics.csv and the scores are
compared, except for times.

Two controls must fail the comparison: a run with another seed, and a run that is resumed one batch
too late. The exit code is the number of comparisons with a wrong result.
"""

__all__ = ["compare", "digest", "kill_and_resume", "train"]

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

TRAIN = Path(__file__).parents[1] / "train.py"
MODELS = {
    "gan": [
        "model=gan", "model.num_discriminator_steps=2", "data.batch_size=16",
        "network.generator.width=16", "network.discriminator.width=16",
    ],
    "cgan": [
        "model=cgan", "network=mlp", "model/augmentation=ada", "data.batch_size=16",
        "model.augmentation.images_per_unit=5000", "lr_schedule=cosine", "lr_schedule.last=200",
        "gradients.accumulate=2", "model.ema_ramp=0.05",
    ],
    "vae": ["model=vae", "network=mlp", "model.ema_half_life=1000"],
    "classifier": ["model=classifier"],
}  # fmt: skip
SCORED = [
    "metrics.num_samples=250", "metrics.batch_size=250", "metrics.scores=[fid]",
    "metrics.every_num_epochs=5", "metrics.features.num_updates=20",
]  # fmt: skip
COMMON = [
    "data.batch_size=32", "logger=csv", "callbacks.log.every_num_updates=1",
    "callbacks.checkpoints.every_num_updates=25", "callbacks.checkpoints.keep_last=100000",
]  # fmt: skip
OFF_BY_ONE = Path(__file__).with_name("off_by_one.py")
"""Script that trains with limner, but gives every update the batch of the next update."""
HANG = 60  # seconds after which processes that should have ended count as hanging


def train(folder: Path, *overrides: str, script: Path = TRAIN) -> subprocess.Popen:
    """Start a run in a folder, or resume the run in it, in a new session."""
    program = [str(script)] if script == TRAIN else [str(script), "train"]
    where = f"resume={folder}" if _checkpoints(folder) else f"hydra.run.dir={folder}"
    with open(f"{folder}.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, *program, where, *overrides],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def kill_and_resume(
    folder: Path,
    overrides: Sequence[str],
    *,
    num_updates: int,
    kills: int,
    dice: random.Random,
    script: Path = TRAIN,
) -> dict[str, int]:
    """Train to the end with `kills` kills, resumed by `script`; return counts of the kills."""
    moments = sorted(dice.sample(range(1, num_updates * 4 // 5), kills))
    counts = {"kills": 0, "in a checkpoint": 0, "of one process": 0}
    for i, moment in enumerate(moments):
        process = _start(folder, overrides, script)
        in_checkpoint, alone = i % 3 == 2, i % 2 == 1
        if not _reach(process, folder, moment, in_checkpoint):
            break  # the run ended before that moment
        time.sleep(0 if in_checkpoint else dice.uniform(0, 0.02))
        counts["in a checkpoint"] += bool(list(folder.glob("checkpoints/*.partial")))
        counts["kills"] += 1
        counts["of one process"] += _kill(process, dice, alone)
    process = _start(folder, overrides, script)
    if process.wait(600) != 0:
        raise SystemExit(f"The last resume failed:\n{Path(f'{folder}.log').read_text()[-3000:]}")
    return counts


def compare(one: Path, other: Path) -> dict[str, int]:
    """Return the numbers of compared checkpoints and rows, and the number of differences."""
    a, b = _checkpoints(one), _checkpoints(other)
    common = a.keys() & b.keys()
    differing = sum(digest(a[name]) != digest(b[name]) for name in common)
    differing += sorted(a)[-1] != sorted(b)[-1]
    rows, others = _rows(one), _rows(other)
    differing += sum(x != y for x, y in zip(rows, others, strict=False))
    differing += abs(len(rows) - len(others)) + (_scores(one) != _scores(other))
    return {"checkpoints": len(common), "rows": len(rows), "differences": differing}


def digest(checkpoint: Path) -> str:
    """Return the SHA-256 of the content of a checkpoint, except for times."""
    content = torch.load(checkpoint, weights_only=True)
    sha = hashlib.sha256()
    for part in _parts({k: v for k, v in content.items() if k not in ("loops", "limner")}):
        sha.update(part)
    return sha.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            if key != "seconds" and not str(key).startswith("time/"):
                yield str(key).encode()
                yield from _parts(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
    else:
        yield repr(value).encode()


def _start(folder: Path, overrides: Sequence[str], script: Path) -> subprocess.Popen:
    if _checkpoints(folder):
        return train(folder, script=script)
    shutil.rmtree(folder, ignore_errors=True)  # killed before its first checkpoint
    return train(folder, *overrides)


def _reach(process: subprocess.Popen, folder: Path, update: int, in_checkpoint: bool) -> bool:
    """Wait for an update, or for the next checkpoint; return False if the run ended first."""
    file, partials = folder / "metrics.csv", folder / "checkpoints"
    while process.poll() is None:
        lines = file.read_bytes().rsplit(b"\n", 2) if file.exists() else []
        if len(lines) == 3 and lines[1].partition(b",")[0].isdigit():
            now = int(lines[1].partition(b",")[0])
            if now >= update and (not in_checkpoint or any(partials.glob("*.partial"))):
                return True
    if process.returncode != 0:
        raise SystemExit(f"A run failed:\n{Path(f'{folder}.log').read_text()[-3000:]}")
    return False


def _kill(process: subprocess.Popen, dice: random.Random, alone: bool) -> bool:
    """Kill all processes of a run, or only one; then the others must end by themselves."""
    members = _group(process.pid)
    victims = [dice.choice(members)] if alone and len(members) > 1 else members
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + HANG
    while _group(process.pid):
        process.poll()
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            raise SystemExit("After one process was killed, another did not end.")
        time.sleep(0.05)
    process.wait()
    return len(victims) < len(members)


def _group(session: int) -> list[int]:
    """Return the ids of the living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def _checkpoints(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in folder.glob("checkpoints/*.ckpt")}


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def _scores(folder: Path) -> dict[str, Any]:
    file = folder / "scores.json"
    scores = json.loads(file.read_text()) if file.exists() else {}
    return {name: (entry["value"], entry.get("std")) for name, entry in scores.items()}


def _check(arguments: argparse.Namespace, model: str, processes: int, root: Path) -> list[str]:
    """Return one line of the table."""
    on = ["accelerator=cpu"] if processes == 1 else [
        "accelerator=ddp_cpu", f"trainer.devices={processes}"
    ]  # fmt: skip
    scored = [] if model == "classifier" else SCORED
    overrides = [*COMMON, *MODELS[model], *scored, *on, f"trainer.max_steps={arguments.updates}"]
    dice = random.Random(f"{arguments.seed} {model} {processes}")
    whole, killed, other, off = (
        root / f"{model}_{processes}" / name for name in ("whole", "killed", "other_seed", "off")
    )
    whole.parent.mkdir(parents=True)
    for folder, extra in ((whole, []), (other, ["seed=1"])):
        if train(folder, *overrides, *extra).wait(600) != 0:
            raise SystemExit(Path(f"{folder}.log").read_text()[-3000:])
    counts = kill_and_resume(
        killed, overrides, num_updates=arguments.updates, kills=arguments.kills, dice=dice
    )
    kill_and_resume(
        off, overrides, num_updates=arguments.updates, kills=1, dice=dice, script=OFF_BY_ONE
    )
    result, seed, shifted = (compare(whole, folder) for folder in (killed, other, off))
    return [
        model, str(processes), *map(str, counts.values()), str(result["checkpoints"]),
        str(result["rows"]), str(result["differences"]), str(seed["differences"]),
        str(shifted["differences"]),
    ]  # fmt: skip


def main() -> None:
    """Run the command line, and exit with the number of wrong comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MODELS), help="some of %(default)s")
    parser.add_argument("--processes", default="1,2", help="numbers of processes: %(default)s")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--updates", type=int, default=800, help="length of each run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    parser.add_argument("--folder", type=Path, help="folder of the runs; default: a temporary one")
    arguments = parser.parse_args()
    root = arguments.folder or Path(tempfile.mkdtemp(prefix="kill_test_"))
    table = Table("model", "processes", "kills", "in a checkpoint", "of one process",
                  "checkpoints", "rows", "differences", "another seed", "a batch off",
                  title="compared with the uninterrupted run")  # fmt: skip
    wrong = 0
    for model in arguments.models.split(","):
        for processes in map(int, arguments.processes.split(",")):
            line = _check(arguments, model, processes, root)
            wrong += (line[-3] != "0") + (line[-2] == "0") + (line[-1] == "0")
            table.add_row(*line)
            print(" ".join(line), flush=True)
    Console(width=120).print(table)
    raise SystemExit(wrong)


if __name__ == "__main__":
    main()
