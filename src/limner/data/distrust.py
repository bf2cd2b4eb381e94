"""Safe reading by torchvision: pickles as plain arrays only, and pictures within limits.

torchvision compares the pickles of CIFAR with their checksums before it loads them, so a file
could be replaced between check and loading. It also opens pictures in any format that PIL knows.
While torchvision reads, this module replaces both functions that torchvision calls.
"""

__all__ = ["distrusted", "is_torchvisions", "item"]

import functools
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from PIL import Image
from torchvision.datasets import cifar, lsun

from limner.files.pictures import MAX_BYTES, open_picture
from limner.files.plain import read_bytes

_LOCK = threading.RLock()

ARRAYS = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
    ),
}
"""Names that a pickle of arrays, numbers and texts may import."""


def is_torchvisions(factory: Callable[..., Any]) -> bool:
    """Return whether the class behind a factory is defined by torchvision."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return getattr(factory, "__module__", "").split(".")[0] == "torchvision"


@contextmanager
def distrusted(factory: Callable[..., Any]) -> Iterator[None]:
    """Make torchvision run no code from files, and read only allowed pictures.

    `limner.files.pictures` documents the allowed pictures. Only one thread at a time can be in
    this context. A class from outside torchvision reads its files without restrictions.

    Args:
        factory: Class of the data set, or a factory of its objects.
    """
    if not is_torchvisions(factory):
        yield
        return
    plain = SimpleNamespace(load=_load_plain, dump=pickle.dump)
    with (
        _LOCK,
        patch.object(cifar, "pickle", plain),
        patch.object(lsun, "pickle", plain),
        patch.object(Image, "open", _open_picture),
    ):
        yield


def item(dataset: Any, i: int) -> Any:
    """Return `dataset[i]`, with restricted pictures only. Call this function for each picture.

    A picture that torchvision opens from a file is decoded when its pixels are first used, so
    that several threads can decode at the same time.
    """
    if not is_torchvisions(type(dataset)):
        return dataset[i]
    with _LOCK:
        before, Image.open = Image.open, _open_picture
        try:
            return dataset[i]
        finally:
            Image.open = before


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ARRAYS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"a pickle of arrays does not ask for {module}.{name}, which was not run"
        )


def _load_plain(file: Any, **options: Any) -> Any:
    return _PlainUnpickler(file, **options).load()


def _open_picture(file: Any, *_: Any, **__: Any) -> Image.Image:
    if hasattr(file, "read"):
        content = file.read(MAX_BYTES + 1)
    else:
        content = read_bytes(Path(file), max_bytes=MAX_BYTES)
    return open_picture(content)
