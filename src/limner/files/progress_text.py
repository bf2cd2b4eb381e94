"""Progress as text that fits a given width."""

__all__ = ["ProgressText", "duration", "fit_values", "number", "short_names", "speed"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from limner.files.printable import printable

BAR_WIDTHS = (8, 40)
"""Smallest and largest width of the bar; it may be smaller if the values have their own row."""
PER = ((1, "s"), (60, "min"), (3600, "h"))
"""Seconds in each unit of time, and the symbol of the unit."""


@dataclass
class ProgressText:
    """State of a progress bar, and its text for a given width.

    Description, count, total, speed and time left are never shortened; the values may be.
    """

    description: str
    """Name of the work, such as "Training"."""
    completed: int
    """Current count."""
    total: float | None
    """Count at the end; None if it is unknown."""
    unit: str
    """Name of the counted things, in the plural."""
    per_second: float | None = None
    """Speed, in counts per second; None if it is unknown."""
    left: float | None = None
    """Time left in seconds; None if it is unknown."""
    seconds: float = 0.0
    """Time since the start in seconds."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Value of each log key."""
    _two_rows_at: int | None = None  # width at which the values got their own row

    def line(self) -> str:
        """Return the whole text in one line of any length, for a file."""
        words = [fact.strip() for fact in self._facts()]
        words += fit_values(self.values, 1000).split("  ") if self.values else []
        return f"{self.description}: {', '.join(words)}"

    def rows(self, width: int, *, ascii_only: bool = False) -> list[Text]:
        """Return rows of at most `width` characters.

        If the width is not enough, first the bar becomes shorter, then the values get their own
        row. If necessary, the values then have fewer digits and shorter names.

        Args:
            width: Width of a row in characters.
            ascii_only: Whether to draw the bar with ASCII characters.
        """
        facts = self._facts()
        room = width - cell_len(" ".join([self.description, *facts])) - 1
        values = fit_values(self.values, width)
        beside = room - cell_len(values) - 2
        if self._two_rows_at != width and beside < BAR_WIDTHS[0]:
            self._two_rows_at = width  # keep two rows: a changing number of rows flickers
        is_below = self._two_rows_at == width
        if (room := room if is_below else beside) > 0:
            words = [Text(self.description), *self._bar(room, ascii_only), Text(facts[0], "green")]
            row = Text(" ").join([*words, *(Text(fact, "cyan") for fact in facts[1:])])
            rows = [row if is_below or not values else row.append(f"  {values}", "dim")]
        else:
            rows = _wrapped([self.description, *facts], width)
        if is_below and (values := fit_values(self.values, width - 2)):
            rows.append(Text(f"  {values}", "dim"))
        return rows

    def _facts(self) -> list[str]:
        """Return the parts after the description that are never shortened."""
        if self.total is None:
            count, time = f"{self.completed:,}", f"{duration(self.seconds)} so far"
        else:
            total = f"{self.total:,.0f}"
            count = f"{self.completed:,}".rjust(len(total)) + f"/{total}"
            is_done = self.completed >= self.total
            time = f"in {duration(self.seconds)}" if is_done else f"{duration(self.left)} left"
        return [f"{count} {self.unit}", speed(self.per_second), time]

    def _bar(self, room: int, ascii_only: bool) -> list[Text]:
        """Return the bar in a list; [] if the total is unknown."""
        if self.total is None:
            return []
        width = min(room, BAR_WIDTHS[1])
        done = width * min(1.0, self.completed / max(self.total, 1))
        full, half, rest = ("=", "", "-") if ascii_only else ("━", "╸", "─")
        text = full * int(done) + half * (done % 1 >= 0.5)
        style = "bar.finished" if self.completed >= self.total else "bar.complete"
        return [Text.assemble((text, style), (rest * (width - len(text)), "bar.back"))]


def _wrapped(words: list[str], width: int) -> list[Text]:
    """Return the words in rows of at most `width` characters."""
    rows = [words[0]]
    for word in words[1:]:
        if cell_len(rows[-1]) + 1 + cell_len(word) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(f"  {word.strip()}")
    return [Text(row, overflow="fold") for row in rows]


def duration(seconds: float | None) -> str:
    """Return a duration as hours:minutes:seconds; `-:--:--` for None."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60:,}:{minutes % 60:02}:{rest:02}"


def number(value: float, digits: int) -> str:
    """Return a number with `digits` significant digits; trailing zeros stay for constant width."""
    return f"{value:#.{digits}g}".removesuffix(".")


def speed(per_second: float | None) -> str:
    """Return a speed per second, minute or hour: `12.3/s`, `4.50/min`; `-/s` for None."""
    if per_second is None:
        return "-/s"
    seconds, sign = next((per for per in PER if per_second * per[0] >= 1), PER[-1])
    count = per_second * seconds
    return f"{count:,.0f}/{sign}" if count >= 1000 else f"{number(count, 3)}/{sign}"


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return a short form of each log key, such as `loss_G` for `train/loss_generator`.

    If two stages have a value of the same name, the stage stays: `loss` and `val_loss`.
    """
    parts = {name: name.partition("/")[::2] for name in names}
    parts = {name: (stage, base or stage) for name, (stage, base) in parts.items()}
    common = Counter(base for _, base in parts.values())
    short = {}
    for name, (stage, base) in parts.items():
        text = base if common[base] == 1 or stage in (base, "train") else f"{stage}_{base}"
        short[name] = printable(text.replace("discriminator", "D").replace("generator", "G"))
    return short


def fit_values(values: Mapping[str, float], width: int) -> str:
    """Return the values as text of at most `width` characters.

    If the values do not fit, first the digits become fewer, then the names become shorter. Then
    the last values are left out.
    """
    names = short_names(values)
    for digits in (4, 3):
        words = [f"{names[name]} {number(value, digits)}" for name, value in values.items()]
        if cell_len("  ".join(words)) <= width:
            return "  ".join(words)
    words = [f"{_shortest(names[name])} {number(v, 3)}" for name, v in values.items()]
    while words and cell_len("  ".join(words)) > width:
        words.pop()
    return "  ".join(words)


def _shortest(name: str) -> str:
    """Return the shortest form of a name."""
    name = name.removeprefix("loss_").replace("inception_score", "IS")
    return name.removesuffix("_classifier")
