"""Cores and GPUs of each job, where several jobs run on one machine at once."""

__all__ = ["JobResources", "job_resources", "part", "reserve_resources"]

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout

T = TypeVar("T")


class JobResources(NamedTuple):
    """The cores and GPUs that one job may use.

    Args:
        cores: Numbers of CPU cores; empty where the system does not number them.
        gpus: GPUs as CUDA_VISIBLE_DEVICES names them; empty where there are none.
    """

    cores: Sequence[int]
    gpus: Sequence[str]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that limit a job to these resources."""
        found = {"TERM": "dumb"}  # bars of several jobs in one terminal would run over each other
        if self.gpus:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        if self.cores and "OMP_NUM_THREADS" not in os.environ:
            found["OMP_NUM_THREADS"] = str(len(self.cores))
        return found

    def bind(self, pid: int) -> None:
        """Bind a process that has just started, and its future children, to the cores."""
        if self.cores:
            with contextlib.suppress(OSError):  # it has ended already
                os.sched_setaffinity(pid, self.cores)


def job_resources(index: int, count: int, environ: Mapping[str, str] = os.environ) -> JobResources:
    """Return the resources of job `index` of `count`."""
    known = hasattr(os, "sched_getaffinity")  # Linux
    cores = sorted(os.sched_getaffinity(0)) if known else []
    return JobResources(part(cores, index, count), part(_gpus(environ), index, count))


def part(things: Sequence[T], index: int, count: int) -> Sequence[T]:
    """Return part `index` of `count` nearly equal parts; too few things are shared by parts."""
    if 0 < len(things) < count:
        return [things[index % len(things)]]
    return things[index * len(things) // count : (index + 1) * len(things) // count]


@contextlib.contextmanager
def reserve_resources(folder: Path, count: int) -> Iterator[JobResources | None]:
    """Reserve the resources of a place that no other process holds, for the time of a block.

    Args:
        folder: Folder of the places' locks, common to all processes.
        count: Number of places; with one place the block gets None: there is nothing to divide.
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
    import torch  # takes seconds, and is needed only here

    return [str(index) for index in range(torch.cuda.device_count())]
