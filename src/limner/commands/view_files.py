"""Picture files that `limner transform` reads as views of one picture."""

__all__ = ["VIEWS", "views_of"]

from collections.abc import Sequence
from pathlib import PurePosixPath

from limner.data.view_store import natural, view_table
from limner.interfaces import reference_view

VIEWS = ("folder", "frames", "single")


def views_of(names: Sequence[str], views: str, *, num_views: int) -> dict[str, list[str]]:
    """Return the files that are read for each result, by the name of the middle file.

    Args:
        names: Names of all picture files.
        views: "folder": all files of a folder are the views of one picture. "frames": each file is
            read with its neighbours in its folder. "single": each file is read alone.
        num_views: Number of frames that are read.
    """
    if views == "single":
        return {name: [name] for name in names}
    if views == "frames":
        table, _ = view_table(names, views="frames", num_views=num_views)
        rows = [[names[i] for i in row] for row in table.tolist()]
    else:
        folders: dict[PurePosixPath, list[str]] = {}
        for name in sorted(names, key=natural):
            folders.setdefault(PurePosixPath(name).parent, []).append(name)
        rows = list(folders.values())
    return {row[reference_view(len(row))]: row for row in rows}
