"""Source of sequences in files: a folder of frames for each sequence, or a video file for each."""

__all__ = ["FrameFolders"]

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from PIL import Image

from limner.data.decoded_sequences import FrameFiles, open_frames
from limner.data.files import FileTree
from limner.data.listings import below_common_folder
from limner.data.sequence_store import OpenedSequences, SequenceSettings
from limner.data.sources import SPLIT_NAMES, ImageFolder
from limner.errors import UserError
from limner.files.natural_order import natural_key
from limner.files.pictures import SUFFIXES
from limner.files.video_frames import GIF, VIDEO_SUFFIXES, MissingPyAV, frames_in, pyav
from limner.files.videos import MAX_BYTES


class FrameFolders(ImageFolder):
    """The sequences below a folder or in a .zip file.

    The pictures of one folder are the frames of one sequence, in the natural order of their names:
    frame_2 comes before frame_10. Each video file and each GIF is one sequence. Folders named
    train, val (valid, validation) and test at the top are splits. Other folders around the
    sequences have no meaning.

    Args:
        path: Folder or .zip file; `~` is the home folder.
    """

    suffixes = tuple(dict.fromkeys((*SUFFIXES, *VIDEO_SUFFIXES)))

    def open_sequences(self, settings: SequenceSettings) -> OpenedSequences:
        """Return the stores of the splits; the first call decodes the frames.

        Raises:
            UserError: If there are no sequences, a video needs PyAV that is not installed, or a
                sequence cannot be read or is too short.
        """
        tree, files = self.opened()
        self._refuse_without_pyav(files)
        frames: dict[str, list[str]] = {}  # sequence -> its files
        for name in sorted(files, key=natural_key):
            path = PurePosixPath(name)
            is_video = path.suffix.lower() in VIDEO_SUFFIXES
            frames.setdefault(name if is_video else f"{path.parent}/", []).append(name)
        stores, names = {}, []
        for split, sequences in self._splits(frames).items():
            found = [self._sequence(tree, name, frames[name]) for name in sequences]
            about = [[name, tree.sizes[name]] for s in sequences for name in frames[s]]
            stores[split], kept = open_frames(found, settings, [about, tree.fingerprint])
            if split == "train":
                names, description = kept, about
        return OpenedSequences(stores, description, names)

    def _splits(self, frames: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return the sequences of each split; without folders of splits, all are "train"."""
        folders = {
            name: name if name.endswith("/") else f"{PurePosixPath(name).parent}/"
            for name in frames
        }
        below = below_common_folder(set(folders.values()))
        splits: dict[str, list[str]] = {}
        for name, folder in folders.items():
            parts = below[folder]
            split = SPLIT_NAMES.get(parts[0].lower(), "") if parts else ""
            splits.setdefault(split, []).append(name)
        return {"train": list(frames)} if "" in splits or "train" not in splits else splits

    def _sequence(self, tree: FileTree, name: str, files: Sequence[str]) -> FrameFiles:
        if not name.endswith("/"):
            return FrameFiles(str(PurePosixPath(name).with_suffix("")), files, _video(tree, name))
        reads = [(file, partial(tree.open_image, file)) for file in files]
        return FrameFiles(name.strip("./") or self.path.name, files, reads)

    def _refuse_without_pyav(self, files: Sequence[str]) -> None:
        suffixes = [PurePosixPath(name).suffix.lower() for name in files]
        videos = [
            name
            for name, suffix in zip(files, suffixes, strict=True)
            if suffix in VIDEO_SUFFIXES and suffix != GIF
        ]
        if not videos:
            return
        try:
            pyav()
        except MissingPyAV as error:
            raise UserError(
                f"data.path={self.path} has {len(videos):,} video files, such as {videos[0]}.\n"
                f"To read them, limner {error}. It reads GIF files and folders of frames without."
            ) from error


def _video(tree: FileTree, name: str):
    def frames() -> Iterator[Image.Image]:
        with tree.open(name, max_bytes=MAX_BYTES) as file:
            yield from frames_in(file, PurePosixPath(name).suffix.lower())

    return frames
