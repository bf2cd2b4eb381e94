"""Output to a closed terminal or a full disk stops nothing."""

import logging
import subprocess
import sys
from pathlib import Path

from limner.console import FileHandler


def test_log_on_a_full_disk_is_reported_once(capfd):
    logger = logging.Logger("test")
    logger.addHandler(FileHandler("/dev/full"))
    for _ in range(3):
        logger.warning("something")
    said = capfd.readouterr()
    assert said.out.count("/dev/full cannot be written (No space left on device).") == 1
    assert said.err == ""


def test_log_that_cannot_be_opened_is_reported_once(capfd, tmp_path):
    logger = logging.Logger("test")
    logger.addHandler(FileHandler(tmp_path / "gone" / "train.log", delay=True))
    for _ in range(3):
        logger.warning("something")
    assert capfd.readouterr().out.count("train.log cannot be written (No such file") == 1


def test_closed_terminal_ends_nothing(tmp_path):
    code = """
import logging, pathlib, sys
from limner.console import ConsoleHandler
logger = logging.Logger("test")
logger.addHandler(ConsoleHandler())
sys.stdin.read()
for _ in range(3):
    logger.warning("something")
pathlib.Path("done").touch()
"""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, cwd=tmp_path)
    process.stdout.close()
    process.stdin.close()
    process.wait(timeout=600)
    assert Path(tmp_path, "done").exists()
