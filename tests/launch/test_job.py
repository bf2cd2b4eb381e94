"""The reason of a failed job is one line."""

import pytest

from limner.launch.job import failure_reason
from limner.launch.watchdog import ABOVE


@pytest.mark.parametrize(
    ("code", "lines", "said"),
    [
        (0, ["limner: no"], None),
        (-9, [], "killed by SIGKILL"),
        (1, ["limner: one", "two", "limner: Stopped.", "To go on: ..."], "Stopped."),
        (1, ["Traceback", "ZeroDivisionError: of zero", ""], "ZeroDivisionError: of zero"),
        (3, [], "ended with exit code 3"),
    ],
)
def test_failure_reason_names_the_signal_or_the_last_error_line(code, lines, said):
    assert failure_reason(code, lines) == said


def test_failure_reason_prefers_another_process_s_reason_to_the_word_that_it_ended():
    named = f"limner: Process 2 of 2 of this run (7) ended with exit code 1: {ABOVE}"
    assert failure_reason(1, ["limner: Out of memory.\n", f"{named}\n"]) == "Out of memory."
    assert failure_reason(1, [f"{named}\n"]).startswith("Process 2 of 2")
