"""The measurements as a table, a CSV file and a picture."""

__all__ = ["Result", "draw_picture", "ratio", "table", "verdicts", "write_csv"]

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.cases import Case

CAPTION = """\
ms: time of an update; x loop: this time / the loop's time, median and quartiles of the rounds;
start: time to the end of the first update; draw: time of 1,000 samples; save: time of a
checkpoint; MiB: peak memory without the training images"""


@dataclass(frozen=True)
class Result:
    """Measurements of one opponent in one case."""

    case: Case
    opponent: str
    seconds: Sequence[float]
    """Seconds of an update in each round."""
    startup_seconds: float
    """Seconds from the start of the process to the end of the first update."""
    draw_seconds: float
    """Seconds for drawing 1,000 images."""
    save_seconds: float
    """Seconds for writing a checkpoint."""
    memory: int
    """Peak memory in bytes, without the training images."""

    @property
    def milliseconds(self) -> float:
        """Milliseconds of an update in the median round."""
        return 1000 * statistics.median(self.seconds)


def ratio(of: Result, to: Result) -> tuple[float, float, float]:
    """Return the median ratio of two opponents' times over the rounds, and its quartiles."""
    ratios = [a / b for a, b in zip(of.seconds, to.seconds, strict=True)]
    if len(ratios) < 2:
        return (ratios[0],) * 3
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return median, low, high


def table(results: Sequence[Result]) -> Table:
    """Return a table of all results with ratios to the loop's time, or else to limner's."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, caption_justify="left")
    for heading in ("case", "program"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("ms", "x loop", "quartiles", "start s", "draw s", "save s", "MiB"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for number, result in enumerate(results):
        repeated = number > 0 and results[number - 1].case == result.case
        median, low, high = ratio(result, _base(results, result.case))
        shown.add_row(
            "" if repeated else result.case.name,
            result.opponent,
            f"{result.milliseconds:.3g}",
            f"{median:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{result.startup_seconds:.1f}",
            f"{result.draw_seconds:.2f}",
            f"{result.save_seconds:.2f}",
            f"{result.memory / 2**20:,.0f}",
        )
    shown.caption = CAPTION
    return shown


def verdicts(results: Sequence[Result]) -> list[str]:
    """Return one line for each target that could be checked."""
    found = {(result.case.name, result.opponent): result for result in results}
    lines = []
    for case in dict.fromkeys(result.case for result in results):
        ours = found.get((case.name, "limner"))
        loop, tutorial = found.get((case.name, "loop")), found.get((case.name, "tutorial"))
        template = found.get((case.name, "lightning"))
        bare = found.get((case.name, "loop:bare"))
        if ours and loop:
            value = ratio(ours, loop)[0]
            lines.append(_verdict(case, "limner / loop", value, "<=", case.loop_target))
            lines.append(
                _verdict(case, "memory, limner / loop", ours.memory / loop.memory, "<=", 1.10)
            )
        if ours and bare:
            value = ratio(ours, bare)[0]
            lines.append(_verdict(case, "limner / loop:bare", value, "<=", case.bare_target))
        for other, name, target in (
            (tutorial, "tutorial / limner", case.tutorial_target),
            (template, "lightning / limner", None),
        ):
            if ours and other:
                lines.append(_verdict(case, name, ratio(other, ours)[0], ">=", target))
    return lines


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row for each result."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([
            "case", "program", "ms_per_update", "to_loop", "to_loop_low", "to_loop_high",
            "startup_seconds", "seconds_per_1000_samples", "checkpoint_seconds",
            "peak_mib_beside_images", "rounds",
        ])  # fmt: skip
        for result in results:
            numbers = [
                result.milliseconds, *ratio(result, _base(results, result.case)),
                result.startup_seconds, result.draw_seconds, result.save_seconds,
                result.memory / 2**20,
            ]  # fmt: skip
            rounded = [f"{number:.5g}" for number in numbers]
            writer.writerow([result.case.name, result.opponent, *rounded, len(result.seconds)])


def draw_picture(results: Sequence[Result], path: Path, *, title: str) -> None:
    """Draw bars of each opponent's time as a multiple of the loop's time, grouped by case."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = list(dict.fromkeys(result.case for result in results))
    opponents = list(dict.fromkeys(result.opponent for result in results))
    figure, axes = plt.subplots(figsize=(2 + 2.2 * len(cases), 4), layout="constrained")
    width = 0.8 / len(opponents)
    for number, opponent in enumerate(opponents):
        own = [result for result in results if result.opponent == opponent]
        at = [cases.index(result.case) + (number + 0.5) * width - 0.4 for result in own]
        ratios = [ratio(result, _base(results, result.case)) for result in own]
        errors = [[m - low for m, low, _ in ratios], [high - m for m, _, high in ratios]]
        bars = axes.bar(at, [m for m, _, _ in ratios], width, label=opponent, yerr=errors)
        axes.bar_label(bars, [f"{m:.2f}" for m, _, _ in ratios], padding=2, fontsize=8)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(cases)), [case.name for case in cases])
    axes.set_ylabel("time of an update / the loop's time")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _base(results: Sequence[Result], case: Case) -> Result:
    own = [result for result in results if result.case == case]
    named = {result.opponent: result for result in own}
    return named.get("loop", named.get("limner", own[0]))


def _with_range(values: tuple[float, float, float]) -> str:
    median, low, high = values
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


def _verdict(case: Case, what: str, value: float, sign: str, target: float | None) -> str:
    line = f"{case.name}: {what} = {value:.2f}"
    if target is None:
        return line
    met = value <= target if sign == "<=" else value >= target
    return f"{line}, target {sign} {target:.2f}: {'met' if met else 'missed'}"
