"""Try several cases in one check: a case that fails stops no other case."""

__all__ = ["each"]

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from gpu_checks.context import Context, Finding

ROOT = Path(__file__).parents[2]
OWN = (str(ROOT / "src"), str(ROOT / "scripts"))
CORES_PER_PROCESS = 4


def each(
    work: Callable[[Context, str], Sequence[Finding]],
    cases: Sequence[str],
    context: Context,
    *,
    seconds: float = 0.0,
    at_once: bool = False,
) -> Iterator[Finding]:
    """Yield the findings of each case.

    Args:
        work: Function of a module, from the context and the name of a case to findings.
        cases: Names of the cases, in order of worth.
        context: Surroundings of the check.
        seconds: Seconds that a case takes. A case is not started if less time is left.
        at_once: Whether to try cases at the same time, in further processes. Choose this only if
            no case measures a time, and if this process has not used the GPU.
    """
    num_processes = min(len(cases), (os.cpu_count() or 1) // CORES_PER_PROCESS)
    if not at_once or num_processes < 2:
        for case in cases:
            yield from _tried(work, context, case, seconds)
        return
    with ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context(context.method),
        initializer=torch.set_num_threads,  # more threads than cores only wait for each other
        initargs=(CORES_PER_PROCESS,),
    ) as pool:
        futures = {pool.submit(_tried, work, context, case, seconds): case for case in cases}
        for future in as_completed(futures):
            try:
                yield from future.result()
            except Exception as error:  # a process crashed, and with it the cases that it had
                yield Finding(futures[future], f"{type(error).__name__}: {error}", passed=False)


def _tried(
    work: Callable[[Context, str], Sequence[Finding]],
    context: Context,
    case: str,
    seconds: float,
) -> list[Finding]:
    if context.left() < seconds:
        return [Finding(case, "no time left", passed=None)]
    try:
        return list(work(context, case))
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [""]
        return [
            Finding(case, f"{type(error).__name__}: {lines[0]} ({_place(error)})", passed=False)
        ]


def _place(error: BaseException) -> str:
    """Return the place of an error: the innermost line of limner or of these scripts."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if "limner" in frame.filename or "gpu_check" in frame.filename
    ]
    last = (own or frames)[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119
