"""Data sets of the Hugging Face Hub, and folders in the layouts of the package `datasets`.

The package `datasets` is imported when the data are opened, since its import takes seconds.
"""

__all__ = ["HuggingFace", "open_data_set"]

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from limner.data import hub_columns
from limner.data.hub_files import DataFiles, locate
from limner.data.sources import SPLIT_NAMES, Pictures
from limner.errors import UserError
from limner.files.printable import counted, printable

log = logging.getLogger(__name__)

LAYOUTS = ("parquet", "arrow", "imagefolder", "webdataset")
"""Layouts that are read, by the names of `datasets`; none of them runs code of a data set."""
EXTRA = 'data=huggingface needs the package datasets: pip install "limner[huggingface]"'


class HuggingFace:
    """A data set of the Hugging Face Hub, or a folder of .parquet files or pictures like one.

    The pictures are decoded by limner, in the formats of `limner.files.pictures`. No code of a
    data set is run.

    Args:
        path: owner/name on the hub, a folder, or a .parquet file; `~` is the home folder.
        revision: Branch, tag or commit of a repository; None for its main branch.
        subset: Name of a subset; None for the only or default subset.
        train_split: Name of the split to train on; None for train, or for the only split.
        image_column: Name of the column of pictures; None for the only such column.
        label_column: Name of the column of labels; None for the only column of named classes.
        text_column: Name of the column of captions; None for no captions. A list of texts is
            several captions of one picture.
        group_column: Name of a column: pictures with an equal value stay in one split where
            limner cuts the splits. None if each picture may be in any split.

    Attributes:
        commit: Commit of the repository, once the data are opened; None for own files.
    """

    commit: str | None = None

    def __init__(
        self,
        *,
        path: str,
        revision: str | None,
        subset: str | None,
        train_split: str | None,
        image_column: str | None,
        label_column: str | None,
        text_column: str | None,
        group_column: str | None,
    ) -> None:
        self.path, self.revision, self.subset = path, revision, subset
        self.train_split, self.image_column = train_split, image_column
        self.label_column, self.text_column = label_column, text_column
        self.group_column = group_column

    def pictures(self) -> dict[str, Pictures]:
        """Return the pictures of each split, after downloading them if necessary.

        Raises:
            UserError: If the data set cannot be read, or if it has no such column.
        """
        files, splits = open_data_set(self)
        features = splits["train"].features
        column = hub_columns.image_column(features, self.image_column, key="data.image_column")
        found = hub_columns.labels(splits, self.label_column)
        for split in [name for name in splits if self._is_unlabelled(name, found)]:
            log.warning("The %s split has no labels, and is left out.", split)
            del splits[split]
        return {
            split: self._split(split, data, column, found, files) for split, data in splits.items()
        }

    def _is_unlabelled(self, split: str, labels: hub_columns.Labels) -> bool:
        """Return whether a split lacks the labels of the training split, as secret test labels."""
        return (
            split != "train"
            and labels.of_split[split] is None
            and labels.of_split["train"] is not None
            and labels.problem is None
        )

    def _split(
        self, split: str, data: Any, column: str, labels: hub_columns.Labels, files: DataFiles
    ) -> Pictures:
        numbers = labels.of_split[split] if labels.problem is None else None
        texts = None
        if self.text_column is not None:
            texts = hub_columns.texts(data, self.text_column)
            kept = [i for i, captions in enumerate(texts) if captions]
            if len(kept) < len(texts):
                _tell_missing(split, len(texts) - len(kept), len(texts), self.text_column)
                data, texts = data.select(kept), [texts[i] for i in kept]
                numbers = None if numbers is None else [numbers[i] for i in kept]
        paths, read = hub_columns.reader(data, column, files.root)
        key = [self.subset, self.train_split, split, column, self.label_column, self.text_column]
        group = self.group_column
        return Pictures(
            names=[path or f"{split} row {i}" for i, path in enumerate(paths)],
            read=read,
            labels=numbers,
            classes=labels.classes if numbers is not None else [],
            texts=texts,
            groups=None if group is None else hub_columns.groups(data, group),
            fingerprint=["huggingface", files.fingerprint, *key],
            sizes=files.sizes,
            label_problem=labels.problem,
        )


def _tell_missing(split: str, num_missing: int, total: int, column: str) -> None:
    """Log how many pictures have no caption; raise `UserError` if none has one."""
    if num_missing == total:
        raise UserError(f"data.text_column={column}: no picture of {split} has a caption.")
    log.warning(
        "%s of %s of %s left out, without a caption in data.text_column=%s.",
        f"{num_missing:,}", counted(total, "picture"), split, printable(column),
    )  # fmt: skip


def open_data_set(source: Any) -> tuple[DataFiles, dict[str, Any]]:
    """Return the files of a data set, and the data set of each split of limner.

    Args:
        source: `HuggingFace` or a source with its arguments `path`, `revision`, `subset` and
            `train_split`; its attribute `commit` is set.

    Raises:
        UserError: If the data set cannot be read.
    """
    try:
        import datasets
    except ImportError as error:
        raise UserError(EXTRA) from error
    files = locate(source.path, source.revision, source.subset)
    source.commit = files.commit
    with _quiet(datasets):
        found = _built(source.path, files.path, source.subset)
    return files, _renamed(found, source.train_split)


@contextlib.contextmanager
def _quiet(datasets: ModuleType) -> Iterator[None]:
    """Hide the progress and the messages of `datasets`, since limner reports errors itself."""
    hidden, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not hidden:
            datasets.enable_progress_bars()


def _built(name: str, path: Path, subset: str | None) -> Mapping[str, Any]:
    """Return the data set of each split, by the data set's own names."""
    import datasets
    from datasets.exceptions import DatasetsError

    if subset is not None:
        _refuse_absent_subset(path, subset)
    try:
        if path.is_dir():
            builder = datasets.load_dataset_builder(str(path), name=subset)
        else:
            builder = datasets.load_dataset_builder("parquet", data_files=str(path))
        layout = type(builder).__module__.rpartition(".")[2]
        if layout not in LAYOUTS:
            raise UserError(
                f"data.path={name} has files in the layout {layout}; limner reads "
                f"{', '.join(LAYOUTS)}."
            )
        builder.download_and_prepare()
        return builder.as_dataset()
    except UserError:
        raise
    except (FileNotFoundError, datasets.data_files.EmptyDatasetError) as error:
        raise UserError(
            f"data.path={name} has no files of pictures: {_first_line(error)}"
        ) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        names = _subsets(path)
        if subset is None and len(names) > 1:
            raise UserError(
                f"data.subset=null: choose one of: {', '.join(map(printable, names))}"
            ) from error
        raise UserError(
            f"data.path={name} cannot be read as a data set: {_first_line(error)}"
        ) from error


def _refuse_absent_subset(path: Path, subset: str) -> None:
    """Raise `UserError` if the files are known to have no such subset."""
    names = _subsets(path)
    if names and subset not in names:
        hint = "\nFor the only subset: data.subset=null" if len(names) == 1 else ""
        listed = ", ".join(map(printable, names))
        raise UserError(f"data.subset={subset}: choose one of: {listed}{hint}")


def _subsets(path: Path) -> list[str]:
    """Return the names of the subsets of a folder or .parquet file; [] if it cannot be read."""
    import datasets

    if not path.is_dir():
        return ["default"]  # the name that `datasets` gives the only subset
    try:
        return datasets.get_dataset_config_names(str(path))
    except Exception:  # building the data set gives the reason
        return []


def _renamed(found: Mapping[str, Any], train: str | None) -> dict[str, Any]:
    """Return the splits by limner's names; others are left out, with a message.

    Args:
        found: Data set of each split, by the data set's own names.
        train: Name of the split to train on, or None.
    """
    if train is not None and train not in found:
        raise UserError(
            f"data.train_split={train}: the data set has no such split; choose one of: "
            f"{', '.join(map(printable, found))}"
        )
    names = {str(name): SPLIT_NAMES.get(str(name).lower()) for name in found}
    if train is None and "train" not in names.values():
        if len(names) > 1:
            raise UserError(
                "data.train_split=null: the data set has no split train; choose one of: "
                f"{', '.join(map(printable, names))}"
            )
        train = next(iter(names))
    if train is not None:
        names = {name: None if split == "train" else split for name, split in names.items()}
        names[train] = "train"
    others = [name for name, split in names.items() if split is None]
    if others:
        log.info("Splits that are not read: %s", ", ".join(map(printable, others)))
    return {split: found[name] for name, split in names.items() if split is not None}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0])
