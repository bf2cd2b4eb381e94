"""Only one process at a time trains a run, and a killed process does not keep the lock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import limner
from limner.runs.lock import RunInUse, is_locked, locked


def test_locked_allows_one_process_per_run(tmp_path):
    assert not is_locked(tmp_path)
    assert not list(tmp_path.iterdir()), "is_locked left a file"
    with locked(tmp_path):
        assert is_locked(tmp_path)
        with (
            pytest.raises(RunInUse, match="is being trained right now"),
            locked(tmp_path),
        ):
            pass
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_killed_process_frees_its_run(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from limner.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    source = str(Path(limner.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert process.stdout.readline() == b"mine\n"
    assert is_locked(tmp_path)
    process.kill()
    process.wait()
    assert not is_locked(tmp_path)


def test_run_is_trained_when_the_file_system_has_no_locks(tmp_path, monkeypatch, caplog):
    def none(*args, **kwargs):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with locked(tmp_path):
        assert "a second process would not be noticed" in caplog.text
