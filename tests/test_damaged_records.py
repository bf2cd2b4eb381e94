"""Damaged small files of runs, sweeps and searches lose only the damaged part, and report it."""

import pytest

from limner.callbacks.reports import Report, add_report, read_reports
from limner.commands.search.storages import journal
from limner.commands.sweep.records import error_of, jobs_in, queued_as, titles, write_record
from limner.errors import UserError
from limner.metrics.time_to_score import training_speed


def test_read_reports_leaves_out_damaged_lines_and_reports_that_once(tmp_path, caplog):
    path = tmp_path / "reports.csv"
    path.write_bytes(b"1,3.5\n2,\0\0\n\xff,1\n4,1e-05\n5,nan\n6")
    for _ in range(2):
        reports = read_reports(tmp_path)
    assert [report.epoch for report in reports] == [1, 4, 5]
    assert reports[1] == Report(4, 1e-05)
    (record,) = caplog.records
    assert "reports.csv has damaged lines" in record.getMessage()
    assert read_reports(tmp_path / "nowhere") == []


def test_report_after_a_torn_line_is_written_on_a_new_line(tmp_path):
    path = tmp_path / "reports.csv"
    for before in (None, "", "1,2.0\n", "1,2.0\n2,3"):
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_text(before)
        add_report(path, "7,1.5\n")
        add_report(path, "8,2.5\n")
        assert read_reports(tmp_path)[-2:] == [Report(7, 1.5), Report(8, 2.5)]


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", "5", '{"number": 1}', "[" * 100_000, '{"overrides": 1, "number": 1}'],
)
def test_damaged_record_of_a_job_hides_no_other_job(tmp_path, caplog, damaged):
    for number in range(3):
        write_record(
            tmp_path / f"job{number}", [f"seed={number}", "model=gan"], number, "it broke"
        )
    (tmp_path / ".jobs" / "job1.json").write_text(damaged)
    (tmp_path / ".jobs" / "job1.slurm").write_bytes(b"")
    jobs = jobs_in(tmp_path)
    assert titles(jobs) == ["seed=0", "seed=2", "job1"]
    assert [job.error for job in jobs] == ["it broke", "it broke", None]
    assert error_of(tmp_path / "job1") is None
    assert queued_as(tmp_path / "job1") is None
    (record,) = caplog.records
    assert "job1.json" in record.getMessage()
    assert "the overrides of this job are not known" in record.getMessage()


def test_damaged_journal_of_a_search_is_refused_in_one_line(tmp_path):
    journal(tmp_path)
    (tmp_path / "journal.log").write_bytes(b'{"op_code": \0\0\n{}\n')
    with pytest.raises(UserError, match=r"journal\.log is damaged: Optuna cannot read it"):
        journal(tmp_path)


def test_damaged_curve_keeps_its_whole_points(tmp_path):
    text = b"update,time/images_per_second\n10,5.0\n20,\0\n\xff\xfe\n30,900.0\n40,1000.0\n"
    (tmp_path / "metrics.csv").write_bytes(text)
    assert training_speed(tmp_path) == 900
