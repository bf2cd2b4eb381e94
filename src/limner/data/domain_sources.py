"""Protocols of the sources of two domains of pictures, and the stores that they open."""

__all__ = ["DomainSource", "DomainStores", "OpenedDomains", "open_domains"]

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from limner.data.checked_pictures import checked_pictures
from limner.data.picture_store import PictureStore, open_pictures
from limner.data.same_images import hash_of_files
from limner.data.sources import Source


class DomainSource(Protocol):
    """A source of two domains of picture files."""

    def domains(self) -> Mapping[str, Source]:
        """Return the source of each of the domains "a" and "b".

        A source may have an attribute `folder`, the name of the folder of its domain: the names
        of pictures are compared below this folder.
        """


@runtime_checkable
class DomainStores(Protocol):
    """A source of two domains whose pictures are computed when they are read."""

    def open_domains(self, num_channels: int) -> Mapping[str, Mapping[str, PictureStore]]:
        """Return the store of each split of the domains "a" and "b"; "train" must exist."""


class OpenedDomains(NamedTuple):
    """Facts of the domains "a" and "b" after they are opened."""

    stores: Mapping[str, Mapping[str, PictureStore]]
    """Store of each split of each domain."""
    files: Mapping[str, str]
    """Hash of the names and sizes of the training files of each domain."""
    folders: Mapping[str, str | None]
    """Name of the folder of each domain, or None."""


def open_domains(
    source: DomainSource | DomainStores, num_channels: int, **options: Any
) -> OpenedDomains:
    """Open the stores of both domains; the first call decodes their pictures.

    Args:
        source: Source of the domains.
        num_channels: Number of channels of all pictures.
        options: Other arguments of `limner.data.picture_store.open_pictures`.
    """
    if isinstance(source, DomainStores):
        stores = source.open_domains(num_channels)
        files = {letter: hash_of_files(own["train"].fingerprint) for letter, own in stores.items()}
        return OpenedDomains(stores, files, dict.fromkeys(stores))
    found, files, folders = {}, {}, {}
    for letter, own in source.domains().items():
        pictures = checked_pictures(own)
        files[letter] = hash_of_files(pictures["train"].sizes)
        folders[letter] = getattr(own, "folder", None)
        found[letter] = {
            split: open_pictures(each, num_channels, **options) for split, each in pictures.items()
        }
    return OpenedDomains(found, files, folders)
