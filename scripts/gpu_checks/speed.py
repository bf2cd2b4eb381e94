"""Time of an update of each case of the benchmark, against loops, and the use of the GPU."""

__all__ = ["captured", "occupancy", "speed", "time_limner"]

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.cases import CASES, Case, compose_setup, fill_cache, make_networks
from benchmarks.images import save_images
from benchmarks.loop import GANLoop, VAELoop
from gpu_checks.context import Context, Finding
from gpu_checks.each import each
from gpu_checks.stopwatch import Stopwatch, Times, time_loop
from gpu_checks.trainings import QUIET, device_words, new_folder, train
from limner.metrics.efficiency import peak_memory

NUM_CAPTURE_WARM_UP = 3
"""Number of updates before a capture: a graph can contain no first call of a library."""
NUM_PROFILED = 20
SECONDS = 6.0
"""Seconds that a case takes at least."""


def speed(context: Context) -> Iterator[Finding]:
    """Compare limner with the bare loop, and with this loop captured as a CUDA graph."""
    yield from each(_compared, _names(context), context, seconds=SECONDS)


def occupancy(context: Context) -> Iterator[Finding]:
    """Measure the share of time that the GPU is idle, images per second and peak memory."""
    yield from each(_used, _names(context), context, seconds=SECONDS)


def captured(loop: GANLoop | VAELoop) -> Iterator[None]:
    """Capture one update of a loop as a CUDA graph, replay it without end, and yield after each.

    Every replay gathers the images of the captured update, and draws other noise.

    Args:
        loop: The loop, before its first update.
    """
    optimizers = loop.optimizers if isinstance(loop, GANLoop) else [loop.optimizer]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["capturable"] = True  # the count of steps is kept on the GPU
    updates = loop.updates()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(NUM_CAPTURE_WARM_UP):
            next(updates)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        next(updates)
    while True:
        graph.replay()
        yield


def _names(context: Context) -> list[str]:
    """Return the names of the cases that the device trains in an acceptable time."""
    names = [case.name for case in CASES if case.on_cpu or context.device == "cuda"]
    return names[:1] if context.smallest else names


def time_limner(case: Case, context: Context, *words: str, num_profiled: int = 0) -> Times:
    """Train a case by limner, and return the times.

    Args:
        case: Case of the benchmark.
        context: Surroundings of the check.
        words: Further words of limner's command line.
        num_profiled: Number of updates that are profiled, see `measure`.
    """
    stopwatch = Stopwatch(
        device=context.device, seconds=context.scale.turn_seconds,
        num_profiled=num_profiled, trace=context.folder / "trace.json",
    )  # fmt: skip
    overrides = [
        *case.overrides(_images(case, context)), *QUIET, *device_words(context.device),
        "trainer.max_epochs=-1", "trainer.max_steps=100000000", *words,
    ]  # fmt: skip
    train(overrides, new_folder(context.folder / case.name), stopwatch)
    return stopwatch.times


def _compared(context: Context, name: str) -> list[Finding]:
    case = _case(name)
    limner, loop = time_limner(case, context), _time(_loop(case, context).updates(), context)
    values = {"limner": limner.seconds, "loop": loop.seconds}
    ratio = limner.seconds / loop.seconds
    found = f"limner {_ms(limner)}, bare loop {_ms(loop)}: {ratio:.2f} times"
    if context.device == "cuda":
        graph = _time(captured(_loop(case, context)), context)
        values["captured"] = graph.seconds
        found += f"; captured {_ms(graph)}: {limner.seconds / graph.seconds:.2f} times"
    return [Finding(name, found, values=values)]


def _used(context: Context, name: str) -> list[Finding]:
    case = _case(name)
    if context.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = time_limner(case, context, num_profiled=NUM_PROFILED)
    rate, memory = case.batch_size / times.seconds, peak_memory(context.device) / 2**20
    values = {"images_per_second": rate, "peak_mib": memory}
    found = f"{rate:,.0f} images/s, peak memory {memory:,.0f} MiB"
    if times.idle is not None:
        values["idle"] = times.idle
        found += f", GPU idle {times.idle:.0%} of the time"
    return [Finding(name, found, values=values)]


def _loop(case: Case, context: Context) -> GANLoop | VAELoop:
    """Return the loop that only trains, with limner's memory layout and without compiling."""
    half = case.precision.startswith("bf16")
    layout = "channels_last" if half or context.device == "cpu" else "contiguous"
    torch.manual_seed(0)
    images = _images(case, context)
    setup = compose_setup(case, images=images, device=context.device, flags=(layout, "bare"))
    return (GANLoop if setup.model == "GAN" else VAELoop)(setup, *make_networks(setup))


def _time(updates: Iterator[None], context: Context) -> Times:
    return time_loop(updates, device=context.device, seconds=context.scale.turn_seconds)


def _images(case: Case, context: Context) -> Path:
    """Return the file of images; limner has made its store of them before it is measured."""
    path = context.folder / f"{'x'.join(map(str, case.image_shape))}.npy"
    if not path.exists():
        save_images(path, case.image_shape, num_images=max(context.scale.num_images, 200))
        fill_cache(case, path)
    return path


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def _ms(times: Times) -> str:
    return f"{1000 * times.seconds:.2f} ms"
