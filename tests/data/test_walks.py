"""The files below a folder."""

from limner.data.walks import walk
from support import fakes


def test_walk_finds_what_pathlib_finds(tmp_path):
    """Old runs resume only if names, sizes and times are as they were."""
    folder = fakes.images(tmp_path / "photos", 12, classes=3)
    fakes.images(folder / ".hidden", 2)
    (folder / "class_1" / ".hidden.png").touch()
    (folder / "notes.txt").write_text("not a picture, but a file")
    (folder / "empty").mkdir()
    expected = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "/." not in str(path.relative_to(tmp_path))
    ]
    assert sorted(walk(folder)) == sorted(expected)
    assert len(expected) == 13
