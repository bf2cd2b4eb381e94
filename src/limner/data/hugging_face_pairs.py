"""Pairs of pictures in two columns of a data set of the Hugging Face Hub."""

__all__ = ["HuggingFacePairs"]

from typing import Any

from limner.data import hub_columns
from limner.data.hub_files import DataFiles
from limner.data.hugging_face import open_data_set
from limner.data.paired_store import PairedPictures
from limner.data.sources import Pictures


class HuggingFacePairs:
    """Inputs and targets in two columns of a data set of the hub, or of a folder like one.

    Args:
        path: owner/name on the hub, a folder, or a .parquet file; `~` is the home folder.
        revision: Branch, tag or commit of a repository; None for its main branch.
        subset: Name of a subset; None for the only or default subset.
        train_split: Name of the split to train on; None for train, or for the only split.
        input_column: Name of the column of inputs.
        image_column: Name of the column of targets; None for the only other column of pictures.

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
        input_column: str,
        image_column: str | None,
    ) -> None:
        self.path, self.revision, self.subset = path, revision, subset
        self.train_split, self.input_column = train_split, input_column
        self.image_column = image_column

    def pairs(self) -> dict[str, PairedPictures]:
        """Return the pairs of each split, after downloading them if necessary.

        Raises:
            UserError: If the data set cannot be read, or if it has no such columns.
        """
        files, splits = open_data_set(self)
        features = dict(splits["train"].features)
        inputs = hub_columns.image_column(features, self.input_column, key="data.input_column")
        if self.image_column != inputs:
            del features[inputs]
        targets = hub_columns.image_column(features, self.image_column, key="data.image_column")
        found = {}
        for split, data in splits.items():
            read, made = (self._side(split, data, each, files) for each in (inputs, targets))
            found[split] = PairedPictures(read, made, made.names)
        return found

    def _side(self, split: str, data: Any, column: str, files: DataFiles) -> Pictures:
        paths, read = hub_columns.reader(data, column, files.root)
        key = [self.subset, self.train_split, split, column]
        return Pictures(
            names=[path or f"{split} row {i}" for i, path in enumerate(paths)],
            read=read,
            labels=None,
            classes=[],
            fingerprint=["huggingface pairs", files.fingerprint, *key],
            sizes=[files.sizes, column],
        )
