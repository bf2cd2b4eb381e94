"""The origin of a class, and a description of a user's own class for the keys of the cache.

limner's own classes state all that determines their results in `protocol()` and `fingerprint`.
A class outside limner may forget to, so the keys of the cache contain its code too.
"""

__all__ = ["is_installed", "origin", "own_code"]

import functools
import hashlib
import marshal
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Literal

LIMNER = __name__.partition(".")[0]
INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders of installed packages."""
PLACES = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib", "stdlib")
)


def origin(target: Any) -> Literal["limner", "library", "own"]:
    """Return whether a class or function belongs to limner, to a library, or to the user.

    Python's standard library and installed packages are libraries. The user's own classes are in
    files anywhere else, or in a notebook.
    """
    module = getattr(target, "__module__", None) or "builtins"
    package = module.partition(".")[0]
    if package == LIMNER:
        return "limner"
    file = getattr(sys.modules.get(module), "__file__", None)
    if package in sys.stdlib_module_names or (file is not None and is_installed(file)):
        return "library"
    return "own"


def is_installed(file: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    path = Path(file).resolve()
    return str(path).startswith(PLACES) or not INSTALLED.isdisjoint(path.parts)


def own_code(part: object) -> list[list[str | None]]:
    """Return the name and the code of each class outside limner that makes up a part.

    The classes are the class of the part, the classes that it inherits from, the classes of its
    attributes, and the classes of the modules of an attribute that is a network.

    Args:
        part: Feature network or source of pictures.

    Returns:
        A list of [dotted name, SHA-256 of the file of its module], sorted by name. A class of an
        installed package is listed only if it is the class of the part itself, and without a hash.
        The list is empty for a part of limner that contains no class of the user.
    """
    kinds = {kind for value in _parts(part) for kind in type(value).__mro__}
    own = {kind for kind in kinds if origin(kind) == "own"}
    listed = own if origin(type(part)) == "limner" else own | {type(part)}
    return sorted([_name(kind), _hash(kind) if kind in own else None] for kind in listed)


def _parts(part: object) -> Iterator[Any]:
    for value in (part, *getattr(part, "__dict__", {}).values()):
        yield value
        if "torch" in sys.modules and isinstance(value, sys.modules["torch"].nn.Module):
            yield from value.modules()


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _file(kind: type) -> Path | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return None if file is None else Path(file).resolve()


@functools.cache  # the file may be edited later, while this class keeps its code
def _hash(kind: type) -> str:
    """Return the SHA-256 of the file of a class, or of its methods if it has no file."""
    file = _file(kind)
    try:
        content = file.read_bytes() if file is not None else _compiled(kind)
    except OSError:
        content = _compiled(kind)
    return hashlib.sha256(content).hexdigest()


def _compiled(kind: type) -> bytes:
    """Return the compiled methods and plain attributes of a class, e.g. a class in a notebook."""
    content = b""
    for name, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            content += name.encode() + marshal.dumps(code)
        elif isinstance(value, int | float | str | tuple | bool):
            content += f"{name}={value!r}".encode()
    return content
