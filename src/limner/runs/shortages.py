"""One-line messages for shortages of a machine: memory, open files, ports, disks.

Only errors that torch, Python or the system raise for a shortage are recognised, by their type and
text. Any other error is a bug, and keeps its traceback.
"""

__all__ = ["shortage"]

import errno
import os
import re
import sys

SMALLER = (
    "Choose a smaller batch (in training data.batch_size=..., or gradients.accumulate=2, which "
    "computes the same update in two parts) or a smaller model; debug=true shows where memory "
    "ran out."
)
ALLOCATORS = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|CUDA error: out of memory"
    r"|MPS backend out of memory|CU(?:BLAS|DNN|SPARSE)_STATUS_ALLOC_FAILED"
)
ASKED = re.compile(r"tried to allocate (\d+ bytes|[\d.]+ [KMGT]i?B)", re.IGNORECASE)
FAILING = (errno.EIO, errno.ESTALE, errno.ENOTCONN)
"""Error numbers of a broken disk, a network file system, and its lost connection."""


def shortage(error: BaseException) -> str | None:
    """Return a message about the shortage behind an exception, with advice; None for others."""
    text = str(error)
    if isinstance(error, MemoryError) or _number(error) == errno.ENOMEM:
        return f"Out of memory{_asked(text)}. {SMALLER}"
    if isinstance(error, OSError):
        return _of_system(error)
    if not isinstance(error, RuntimeError):
        return None
    if _is(error, "OutOfMemoryError") or ALLOCATORS.search(text):
        return f"Out of memory{_where(error, text)}{_asked(text)}. {SMALLER}"
    if re.search(r"Too many open files", text):
        return _open_files()
    if text.startswith("can't start new thread"):
        return "The system refuses to start another thread: `ulimit -u` shows the limit."
    if re.search(r"(?:allocate|open|creating) shared memory", text):
        return "There is not enough shared memory: /dev/shm must be larger (docker: --shm-size)."
    if _is(error, "distributed.DistNetworkError") and "failed to listen" in text:
        return _port(text)
    return None


def _of_system(error: OSError) -> str | None:
    number = _number(error)
    if number in (errno.EMFILE, errno.ENFILE):
        return _open_files()
    if number == errno.EADDRINUSE:
        return "A port that is needed is in use by another program (Address already in use)."
    if number in FAILING:
        where = error.filename or "A file"
        return f"{where} cannot be read or written ({error.strerror}): its disk fails."
    return None


def _port(text: str) -> str:
    """Return the message for a first process that cannot listen at its port.

    Args:
        text: Text of torch's exception.
    """
    port = re.search(r"port: (\d+)", text)
    named = f"MASTER_PORT={port[1] if port else os.environ.get('MASTER_PORT')}"
    if "EADDRINUSE" in text:
        return f"{named} is in use by another program: set it to another port, or unset it."
    reason = re.search(r"message: (.+)", text)
    why = f" ({reason[1].strip()})" if reason else ""
    return f"{named} cannot be used to listen{why}: set it to another port, or unset it."


def _open_files() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "Too many files are open at once."
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"Too many files are open at once ({limit} are allowed): raise it by ulimit -n 65536"


def _where(error: RuntimeError, text: str) -> str:
    return "" if "DefaultCPUAllocator" in text else " on the accelerator"


def _asked(text: str) -> str:
    found = ASKED.search(text)
    if found is None:
        return ""
    number, unit = found[1].split()
    if unit == "bytes":
        number, unit = f"{int(number) / 2**30:,.2f}", "GiB"
    return f" ({number} {unit} more were asked for)"


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _is(error: BaseException, name: str) -> bool:
    """Return whether an exception belongs to a class of torch, without importing torch."""
    found = sys.modules.get("torch")
    for part in name.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and isinstance(error, found)
