"""Checks after every test: no code, module or variable that a folder names was used."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hostile import SECRET


@pytest.fixture(autouse=True)
def trap(tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a module `trap` that leaves a file if imported, and a secret variable."""
    folder = tmp_path_factory.mktemp("trap")
    sprung = folder / "sprung"
    text = (
        f"open({str(sprung)!r}, 'w').close()\n"
        "from lightning.pytorch import Callback\n"
        "class Part(Callback):\n    def __init__(self, **more): pass\n"
        "def function(*words, **more): pass\n"
    )
    (folder / "trap.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("AWS_SECRET", SECRET)
    monkeypatch.delitem(sys.modules, "trap", raising=False)
    monkeypatch.setattr(os, "system", lambda *_: sprung.touch())
    yield sprung
    sys.modules.pop("trap", None)
    assert not sprung.exists() or (folder / "is_trusted").exists(), "a folder's code was run"
    assert "EVIL" not in os.environ
