"""Names and sizes of the files in a .zip file, kept in the cache.

Parsing the directory of an archive of hundreds of thousands of pictures takes seconds. The result
is kept as JSON under the archive's path, size and time, with a checksum. A damaged entry is
removed and made again.
"""

__all__ = [
    "MAX_DIRECTORY_BYTES", "NUM_KEPT_FROM", "below_common_folder", "parts_of", "with_slashes",
    "zip_listing",
]  # fmt: skip

import hashlib
import json
import logging
import struct
import zipfile
from pathlib import Path

from limner.cache import cached_folder, discard_folder, find_folder
from limner.data.walks import MAX_FILES
from limner.errors import UserError
from limner.files.plain import NotPlainError, read_bytes

log = logging.getLogger(__name__)

KIND = "listings"
FORMAT = 1
NUM_KEPT_FROM = 10_000
"""Smallest number of files for which a listing is cached; parsing fewer files is fast anyway."""
MAX_DIRECTORY_BYTES = 2**30
"""Largest size in bytes of an archive's directory; parsing takes several times as much memory."""


def zip_listing(path: Path) -> dict[str, int]:
    """Return the names and sizes of the files in a .zip file that are not hidden, sorted by name.

    Args:
        path: The .zip file.

    Raises:
        UserError: If the archive is damaged or has too many entries, or if a name is absolute or
            leads out of the archive.
    """
    status = path.stat()
    key = [FORMAT, str(path.resolve()), status.st_size, status.st_mtime_ns]
    found = _kept(key)
    if found is None:
        found = _parsed(path)
        if len(found) >= NUM_KEPT_FROM:
            cached_folder(KIND, key, lambda into: _keep(found, into))
    return found


def parts_of(name: str) -> list[str]:
    """Return the folders and the file name of a relative path; faster than `pathlib`."""
    parts = name.split("/")
    return [part for part in parts if part not in ("", ".")] if _is_odd(parts) else parts


def below_common_folder(folders: set[str]) -> dict[str, list[str]]:
    """Return each folder's path as parts, without the folders that all paths share."""
    parts = {folder: parts_of(folder) for folder in folders}
    first, last = min(parts.values()), max(parts.values())
    shared = 0
    while shared < len(first) and first[shared : shared + 1] == last[shared : shared + 1]:
        shared += 1
    return {folder: path[shared:] for folder, path in parts.items()}


def with_slashes(name: str) -> str:
    r"""Return the name of an entry with `/` in place of each `\`."""
    return name.replace("\\", "/")


def _parsed(path: Path) -> dict[str, int]:
    _check_directory_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
    except Exception as error:  # an untrusted archive may raise any exception in its reader
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"data.path={path} is a damaged .zip file ({reason}).\n"
            "Copy or download it again; `unzip -t` tests it."
        ) from error
    sizes: dict[str, int] = {}
    files = []
    for entry in entries:
        name = with_slashes(entry.filename)
        if name.startswith("/") or ".." in name.split("/"):
            raise UserError(
                f"data.path={path} is refused: its entry {name!r} leads out of the archive."
            )
        if not name.endswith("/") and not _hidden(name):
            sizes[entry.filename] = entry.file_size
            files.append(entry)
    _refuse_encrypted(path, files)
    if len(files) > len(sizes):
        log.warning(
            "%s has %d duplicate entries; the last entry of each name is used.",
            path,
            len(files) - len(sizes),
        )
    return sizes


def _refuse_encrypted(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    encrypted = [entry.filename for entry in entries if entry.flag_bits & 1]
    if encrypted:
        raise UserError(
            f"data.path={path} is encrypted ({len(encrypted):,} of {len(entries):,} files, "
            f"{encrypted[0]} first); limner cannot read encrypted files.\n"
            "Unpack the archive and name the folder."
        )


def _check_directory_size(path: Path) -> None:
    """Raise UserError for an archive with too many entries, before its directory is read.

    The size of the directory is in the record at the end of the file, or in the larger (zip64)
    record before it.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - 22 - 20 - 56))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        return  # the parser raises for a damaged file
    num_entries, num_bytes = struct.unpack_from("<HI", tail, at + 10)
    large = at - 20 - 56
    if large >= 0 and tail[at - 20 : at - 16] == b"PK\6\7" and tail[large:][:4] == b"PK\6\6":
        num_entries, num_bytes = struct.unpack_from("<QQ", tail, large + 32)
    if num_entries > MAX_FILES or num_bytes > MAX_DIRECTORY_BYTES:
        raise UserError(
            f"data.path={path} is refused: its directory claims {num_entries:,} entries in "
            f"{num_bytes:,} bytes; the limits are {MAX_FILES:,} and {MAX_DIRECTORY_BYTES:,}.\n"
            "Split the archive, or unpack it."
        )


def _kept(key: list) -> dict[str, int] | None:
    """Return the cached listing of `key`, or None; a damaged entry is removed."""
    folder = find_folder(KIND, key)
    if folder is None:
        return None
    try:
        content = read_bytes(folder / "listing", max_bytes=2 * MAX_DIRECTORY_BYTES)
        checksum, _, listing = content.partition(b"\n")
        if checksum.decode() == hashlib.sha256(listing).hexdigest():
            return dict(json.loads(listing))
        problem = "its checksum is wrong"
    except (NotPlainError, ValueError, TypeError) as error:
        problem = str(error)
    log.warning("The listing in %s is damaged (%s): made again.", folder, problem)
    discard_folder(KIND, key)
    return None


def _keep(sizes: dict[str, int], into: Path) -> None:
    listing = json.dumps(sizes).encode()
    checksum = hashlib.sha256(listing).hexdigest().encode()
    (into / "listing").write_bytes(checksum + b"\n" + listing)


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in parts_of(name))


def _is_odd(parts: list[str]) -> bool:
    return "" in parts or "." in parts
