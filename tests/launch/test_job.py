"""The failure of a job is given in one line, and a job knows its name."""

import sys

import pytest

from limner.launch.job import NAME, failure_reason, start
from limner.launch.watchdog import ABOVE


@pytest.mark.parametrize(
    ("code", "lines", "said"),
    [
        (0, ["limner: no"], None),
        (-9, [], "killed by SIGKILL"),
        (1, ["limner: one", "two", "limner: Stopped.", "To resume: ..."], "Stopped."),
        (1, ["Traceback", "ZeroDivisionError: of zero", ""], "ZeroDivisionError: of zero"),
        (3, [], "ended with exit code 3"),
    ],
)
def test_failure_reason_names_the_signal_or_the_last_error_line(code, lines, said):
    assert failure_reason(code, lines) == said


def test_failure_reason_prefers_the_error_of_another_process_to_its_exit_message():
    named = f"limner: Process 2 of 2 of this run (7) ended with exit code 1: {ABOVE}"
    assert failure_reason(1, ["limner: Out of memory.\n", f"{named}\n"]) == "Out of memory."
    assert failure_reason(1, [f"{named}\n"]).startswith("Process 2 of 2")


@pytest.mark.parametrize("alone", [True, False])
def test_start_gives_the_job_its_name(tmp_path, alone):
    command = [sys.executable, "-c", f"import os; print(os.environ.get({NAME!r}))"]
    for name in ("Trial 3", None):
        with open(tmp_path / "said", "w") as file:
            start(command, resources=None, output=file, alone=alone, name=name).wait()
        assert (tmp_path / "said").read_text() == f"{name}\n"
