"""Progress rows show count, total, speed and time left in full at every width, and fit it."""

import pytest

from limner.files.progress_text import (
    ProgressText,
    duration,
    fit_values,
    number,
    short_names,
    speed,
)

VALUES = {
    "train/loss_discriminator": 123456.789,
    "train/loss_generator": -0.000123456,
    "val/fid_classifier": 123.456,
    "val/loss": float("nan"),
    "val/a_name_that_is_longer_than_any_terminal_is_wide_by_itself_without_a_value": 1.0,
}
WIDTHS = range(40, 201)


def text(values: dict[str, float] = VALUES) -> ProgressText:
    return ProgressText(
        "Job 12 of 144", 140_123, 2_000_000, "updates", per_second=1234.5, left=360_000.0,
        seconds=60.0, values=values,
    )  # fmt: skip


@pytest.mark.parametrize("values", [{}, {"train/loss": 1.0}, VALUES], ids=["none", "one", "many"])
def test_rows_show_all_facts_in_full_at_every_width(values):
    for width in WIDTHS:
        rows = [row.plain for row in text(values).rows(width)]
        assert max(map(len, rows)) <= width
        for fact in ("Job 12 of 144", "140,123/2,000,000 updates", "1,234/s", "100:00:00 left"):
            assert sum(fact in row for row in rows) == 1, (width, rows)


def test_rows_show_both_losses_of_a_gan_at_every_width():
    losses = {"train/loss_discriminator": 1.2374, "train/loss_generator": 0.72123}
    for width in WIDTHS:
        rows = "\n".join(row.plain for row in text(losses).rows(width))
        assert "D 1.237" in rows
        assert "G 0.7212" in rows


def test_rows_shorten_the_bar_before_values_move_to_another_row():
    losses = {"train/loss": 1.2374}
    for width in WIDTHS:
        rows = [row.plain for row in text(losses).rows(width)]
        if len(rows) == 1:
            assert 8 <= rows[0].count("━") + rows[0].count("─") + rows[0].count("╸") <= 40
        assert "loss 1.237" in rows[-1]
    assert len(text(losses).rows(WIDTHS[-1])) == 1


def test_values_stay_in_their_row_when_they_needed_it_before():
    shown = text()
    assert len(shown.rows(100)) == 2
    shown.values = {"train/loss": 1.0}
    assert len(shown.rows(100)) == 2
    assert len(shown.rows(140)) == 1


def test_rows_are_ascii_when_the_output_is():
    for row in text({"train/loss": 1.0}).rows(100, ascii_only=True):
        assert row.plain.isascii()


def test_rows_without_a_total_show_the_elapsed_time():
    shown = ProgressText("Training", 140, None, "updates", per_second=2.0, seconds=70.0)
    assert [row.plain for row in shown.rows(80)] == ["Training 140 updates 2.00/s 0:01:10 so far"]


def test_line_shows_everything_at_any_length():
    assert text({"train/loss": 1.0, "val/loss": 2.0}).line() == (
        "Job 12 of 144: 140,123/2,000,000 updates, 1,234/s, 100:00:00 left, "
        "loss 1.000, val_loss 2.000"
    )


def test_speeds_use_a_unit_of_time_in_which_they_are_at_least_one():
    per_second = (None, 0.0, 12345.6, 12.34, 1.0, 0.5, 0.001)
    shown = ["-/s", "0.00/h", "12,346/s", "12.3/s", "1.00/s", "30.0/min", "3.60/h"]
    assert [speed(value) for value in per_second] == shown


def test_durations_are_hours_minutes_and_seconds():
    seconds = (None, 0, 59.6, 3599.4, 360_061)
    assert [duration(s) for s in seconds] == [
        "-:--:--", "0:00:00", "0:01:00", "0:59:59", "100:01:01"
    ]  # fmt: skip


def test_numbers_keep_their_significant_digits():
    assert [number(v, 4) for v in (1.2, 100, 12345.0, 0.0)] == [
        "1.200", "100.0", "1.234e+04", "0.000"
    ]  # fmt: skip


def test_short_names_keep_the_stage_when_two_stages_share_a_name():
    names = ["train/loss", "val/loss", "train/loss_generator", "val/fid", "accuracy"]
    assert list(short_names(names).values()) == [
        "loss", "val_loss", "loss_G", "fid", "accuracy"
    ]  # fmt: skip
    assert len(set(short_names([*names, "test/loss"]).values())) == 6


def test_values_lose_digits_then_names_then_whole_values():
    losses = {"train/loss_discriminator": 1.2374, "train/loss_generator": 0.72123}
    assert fit_values(losses, 30) == "loss_D 1.237  loss_G 0.7212"
    assert fit_values(losses, 26) == "loss_D 1.24  loss_G 0.721"
    assert fit_values(losses, 20) == "D 1.24  G 0.721"
    assert fit_values(losses, 10) == "D 1.24"
    assert fit_values(losses, 3) == ""
