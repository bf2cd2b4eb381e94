"""Division of a machine's cores and GPUs among jobs that run at the same time."""

__all__ = ["JobResources", "job_resources", "part", "reserve_resources"]

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout

T = TypeVar("T")


class JobResources(NamedTuple):
    """Cores and GPUs that one job may use.

    Args:
        cores: Numbers of the CPU cores; empty if the system does not number its cores.
        gpus: Names of the GPUs, as in CUDA_VISIBLE_DEVICES; empty if there are none.
    """

    cores: Sequence[int]
    gpus: Sequence[str]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that limit a job to these resources."""
        found = {"TERM": "dumb"}  # bars of several jobs would overwrite each other
        if self.gpus:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        if self.cores and "OMP_NUM_THREADS" not in os.environ:
            found["OMP_NUM_THREADS"] = str(len(self.cores))
        return found

    def bind(self, pid: int) -> None:
        """Bind a new process and its future children to the cores."""
        if self.cores:
            with contextlib.suppress(OSError):  # the process has ended already
                os.sched_setaffinity(pid, self.cores)


def job_resources(index: int, count: int, environ: Mapping[str, str] = os.environ) -> JobResources:
    """Return the resources of job number `index` of `count` jobs, counted from 0."""
    known = hasattr(os, "sched_getaffinity")  # Linux
    cores = sorted(os.sched_getaffinity(0)) if known else []
    return JobResources(part(cores, index, count), part(_gpus(environ), index, count))


def part(things: Sequence[T], index: int, count: int) -> Sequence[T]:
    """Return part number `index` of `count` nearly equal parts, counted from 0.

    If there are fewer things than parts, several parts share one thing.
    """
    if 0 < len(things) < count:
        return [things[index % len(things)]]
    return things[index * len(things) // count : (index + 1) * len(things) // count]


@contextlib.contextmanager
def reserve_resources(folder: Path, count: int) -> Iterator[JobResources | None]:
    """Reserve one share of the machine for the duration of a block.

    The machine has `count` shares, and each share can be reserved by only one process at a time.
    The block gets the resources of its share. It gets None if all shares are reserved, or if there
    is only one share, which needs no division.

    Args:
        folder: Folder with a lock file for each share, common to all processes.
        count: Number of shares.
    """
    if count == 1:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        lock = FileLock(folder / f"{index}.lock")
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError, NotImplementedError):
            continue
        try:
            yield job_resources(index, count)
        finally:
            lock.release()
        return
    yield None


def _gpus(environ: Mapping[str, str]) -> list[str]:
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch  # takes seconds, and only this function needs it

    return [str(index) for index in range(torch.cuda.device_count())]
