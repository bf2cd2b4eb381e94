"""Small data sets in the layouts of the Hugging Face Hub, made by the tests."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230)}
NAMES = list(COLOURS)


def pixels(number: int) -> np.ndarray:
    """Return picture number i, uint8 (8, 8, 3): a colour with a little noise."""
    noise = np.random.default_rng(number).integers(0, 20, (8, 8, 3))
    return (np.array(COLOURS[NAMES[number % 3]]) + noise).astype(np.uint8)


def png(number: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """Return the content of a PNG file of picture number i, of a size (width, height)."""
    Image.fromarray(pixels(number)).resize(size).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def caption(number: int) -> str:
    """Return the caption of picture number i."""
    return f"A {NAMES[number % 3]} picture."


def parquet(folder: Path, *, start: int = 0, **sizes: int) -> Path:
    """Write a folder of .parquet files as the hub has them, and return it.

    Args:
        folder: Folder to make.
        start: Number of the first picture.
        sizes: Number of pictures of each split.
    """
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as Pictures

    features = Features(
        {"image": Pictures(), "label": ClassLabel(names=NAMES), "text": Value("string")}
    )
    (folder / "data").mkdir(parents=True)
    for split, size in sizes.items():
        numbers = range(start, start + size)
        rows = {
            "image": [{"bytes": png(i), "path": f"{i}.png"} for i in numbers],
            "label": [i % 3 for i in numbers],
            "text": [caption(i) for i in numbers],
        }
        data = Dataset.from_dict(rows, features=features)
        write(folder / "data" / f"{split}-00000-of-00001.parquet", data.with_format("arrow")[:])
        start += size
    return folder


def write(path: Path, columns: Any) -> Path:
    """Write a .parquet file of a table, or of a dict of columns without types of the hub."""
    import pyarrow
    from pyarrow import parquet as files

    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(dict(columns))
    files.write_table(table, path)
    return path


def image_folder(folder: Path, files: Mapping[str, int] | Sequence[str]) -> Path:
    """Write PNG files, each with the picture of a number, and return the folder."""
    named = files if isinstance(files, Mapping) else {name: i for i, name in enumerate(files)}
    for name, number in named.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    return folder


def arguments(path: Path | str, **given: Any) -> dict[str, Any]:
    """Return the arguments of the source `HuggingFace`."""
    names = (
        "revision", "subset", "train_split", "image_column", "label_column", "text_column",
        "group_column",
    )  # fmt: skip
    return {"path": str(path), **dict.fromkeys(names), **given}
