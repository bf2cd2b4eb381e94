"""Progress bars on a terminal, in a file and in a notebook, with a clock set by the tests."""

import io
import itertools
import re
import sys
from types import ModuleType

import pytest
from rich.console import Console

from limner import console as limner_console
from limner.console import Bar, say
from support.bar_clock import set_clock


@pytest.fixture
def clock(monkeypatch):
    return set_clock(monkeypatch)


@pytest.fixture
def output(monkeypatch):
    """Return a function that makes the console, and returns what is written to it."""

    def make(**kwargs):
        file = io.StringIO()
        made = Console(file=file, **{"_environ": {}, "width": 80, **kwargs})
        monkeypatch.setattr(limner_console, "get_console", lambda: made)
        return file, made

    return make


def rows_of(said: str, width: int) -> list[str]:
    """Return the rows that a terminal shows after this text with cursor and erase sequences."""
    rows, at, column = [""], 0, 0
    for code, char in re.findall(r"\x1b\[([?0-9;]*[A-Za-z])|([^\x1b])", said):
        if code.endswith("A"):
            at -= int(code[:-1] or 1)
        elif code.endswith("K"):
            rows[at] = ""
        elif char == "\r":
            column = 0
        elif char == "\n":
            at, column = at + 1, 0
            rows += [""] * (at + 1 - len(rows))
        elif char:
            assert column < width, "a row is wider than the terminal"
            rows[at] = rows[at][:column].ljust(column) + char + rows[at][column + 1 :]
            column += 1
    return [row.rstrip() for row in rows if row.strip()]


def test_bar_leaves_its_last_state_at_every_width(clock, output):
    values = {"train/loss_discriminator": 1.237, "train/loss_generator": 0.7212}
    for width in range(40, 201, 20):
        file, _ = output(force_terminal=True, width=width)
        with Bar("Training", total=10_000) as bar:
            for update in range(10, 501, 10):
                clock.seconds += 0.5
                bar.update(update, values)
        shown = "\n".join(rows_of(file.getvalue(), width))
        for fact in ("Training", "500/10,000 updates", "20.0/s", "0:07:55 left", "D 1.237"):
            assert shown.count(fact) == 1, (width, shown)


def test_message_appears_above_the_bar(clock, output):
    file, _ = output(force_terminal=True)
    with Bar("Training", total=10) as bar:
        bar.update(1, {"train/loss": 1.0})
        say("first")
        clock.seconds += 1
        bar.update(2)
        say("second")
    rows = rows_of(file.getvalue(), 80)
    assert rows[:2] == ["first", "second"]
    assert " 2/10 updates" in rows[2]
    assert len(rows) == 3


def test_bar_inside_another_bar_appears_after_a_second_and_disappears(clock, output):
    file, _ = output(force_terminal=True)
    with Bar("Training", total=10) as bar:
        with Bar("Scoring", total=50, unit="samples") as short:
            clock.seconds += 0.9
            short.update(50)
        assert "Scoring" not in file.getvalue()
        with Bar("Scoring", total=50, unit="samples") as long:
            clock.seconds += 1.1
            long.update(10)
            rows = rows_of(file.getvalue(), 80)
            assert [row.split()[0] for row in rows] == ["Training", "Scoring"]
        clock.seconds += 1
        bar.update(3)
    (row,) = rows_of(file.getvalue(), 80)
    assert row.startswith("Training")


def test_narrower_terminal_keeps_no_part_of_the_wider_bar(clock, output):
    file, console = output(force_terminal=True, width=140)
    bar = Bar("Training", total=10_000)
    bar.start()
    wide = rows_of(file.getvalue(), 140)[0]
    console.width = 60
    file.truncate(0)
    clock.seconds += 1
    bar.update(5)
    wrapped = "".join(f"{wide[i : i + 60]}\n" for i in range(0, len(wide), 60)).rstrip("\n")
    rows = rows_of(wrapped + file.getvalue().lstrip("\0"), 61)
    bar.stop()
    assert len(wide) > 60
    assert len(rows) == 1
    assert " 5/10,000 updates" in rows[0]


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"force_terminal": True, "_environ": {"TERM": "dumb"}}],
    ids=["file", "dumb"],
)  # fmt: skip
def test_lines_are_printed_at_intervals_that_grow_to_a_minute(clock, output, kwargs):
    file, _ = output(**kwargs)
    times = []
    with Bar("Training", total=100_000) as bar:
        for update in range(1, 20_000):
            clock.seconds += 0.1
            before = len(file.getvalue())
            bar.update(update, {"train/loss": 1.5})
            if len(file.getvalue()) > before:
                times.append(clock.seconds)
    said = file.getvalue()
    assert "\x1b" not in said
    assert "\r" not in said
    first = said.splitlines()[0]
    assert re.fullmatch(
        r"Training: +30/100,000 updates, 10\.0/s, 2:46:\d\d left, loss 1\.500", first
    )
    gaps = [end - start for start, end in zip([0.0, *times], times, strict=False)]
    assert gaps[0] == pytest.approx(3.0, abs=0.2)
    assert max(gaps) < 60.2
    assert gaps[-1] == pytest.approx(60.0, abs=0.2)
    assert all(later < 1.6 * sooner + 0.2 for sooner, later in itertools.pairwise(gaps))


def test_short_training_prints_no_lines(clock, output):
    file, _ = output()
    with Bar("Training", total=10) as bar:
        for update in range(1, 11):
            clock.seconds += 0.1
            bar.update(update)
    assert file.getvalue() == ""


def test_last_line_shows_the_end_when_earlier_lines_were_printed(clock, output):
    file, _ = output()
    with Bar("Training", total=7) as bar:
        for update in range(1, 8):
            clock.seconds += 1.0
            bar.update(update)
    assert file.getvalue().splitlines()[-1].startswith("Training: 7/7 updates")


def test_every_line_reaches_the_file_immediately(clock, output):
    file, _ = output()
    flushed = []
    file.flush = lambda: flushed.append(file.getvalue())
    with Bar("Training", total=None) as bar:
        clock.seconds += 4
        bar.update(3)
        assert flushed[-1].startswith("Training: 3 updates")


def test_no_color_variable_removes_the_colours_of_the_bar(clock, output):
    file, _ = output(force_terminal=True, color_system="truecolor", _environ={"NO_COLOR": "1"})
    with Bar("Training", total=10, completed=3):
        pass
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", file.getvalue())
    assert "3/10 updates" in file.getvalue()


def test_only_the_first_process_shows_progress(clock, output, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    file, _ = output(force_terminal=True)
    with Bar("Training", total=10) as bar:
        bar.update(1)
    assert file.getvalue() == ""


def test_closed_terminal_does_not_stop_the_bar(clock, output):
    file, _ = output(force_terminal=True)

    def fail(*of):
        raise OSError("gone")

    with Bar("Training", total=10) as bar:
        file.write = fail
        for update in range(5):
            clock.seconds += 1
            bar.update(update)
    assert sys.stdout is not None
    del file.write
    with Bar("Training", total=10):
        pass
    assert "0/10 updates" in file.getvalue()


def test_notebook_gets_one_bar_that_is_updated(clock, output, monkeypatch):
    shown = []

    class Handle:
        def update(self, content, *, raw):
            assert raw
            shown[-1] = content["text/plain"]

    def display(content, *, raw, display_id):
        assert raw
        assert display_id
        shown.append(content["text/plain"])
        return Handle()

    ipython = ModuleType("IPython.display")
    ipython.display = display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    monkeypatch.setattr(limner_console, "find_spec", lambda name: object())
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    output(force_jupyter=True)
    with Bar("Training", total=100) as bar:
        for update in range(1, 101):
            clock.seconds += 0.1
            bar.update(update, {"train/loss": 1.0})
    (last,) = shown
    assert "100/100 updates" in last
    assert "loss 1.000" in last


def test_command_in_a_notebook_prints_lines(clock, output, monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    file, _ = output(force_terminal=True)
    with Bar("Training", total=100) as bar:
        clock.seconds += 4
        bar.update(50)
    assert file.getvalue().startswith("Training: 50/100 updates")


def test_time_left_includes_the_time_of_scores(clock, output):
    file, _ = output(force_terminal=True)
    with Bar("Training", total=100) as bar:
        bar.update(0)
        clock.seconds += 10
        bar.update(10)
        with Bar("Scoring", total=1):
            clock.seconds += 10
        clock.seconds += 10
        bar.update(20)
    (row,) = rows_of(file.getvalue(), 80)
    assert "1.00/s" in row
    assert "0:02:00 left" in row


@pytest.mark.parametrize(("counts_inner", "shown"), [(True, "30.0/min"), (False, "2.00/s")])
def test_last_speed_of_a_bar_is_the_mean_of_all_its_time(clock, output, counts_inner, shown):
    file, _ = output(force_terminal=True)
    with Bar("Transforming", total=10, counts_inner=counts_inner) as bar:
        for number in range(1, 11):
            with Bar("a.png", total=1):
                clock.seconds += 1.5
            clock.seconds += 0.1 if number > 5 else 0.9
            bar.update(number)
    (row,) = rows_of(file.getvalue(), 80)
    assert shown in row
    assert "in 0:00:20" in row


def test_bar_only_reads_the_clock_in_updates_between_two_drawings(clock, output, monkeypatch):
    file, _ = output(force_terminal=True)
    with Bar("Training", total=100) as bar:
        bar.update(1)
        before = file.getvalue()
        bar.update(2)
        assert file.getvalue() == before
