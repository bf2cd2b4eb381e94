"""Costs that can be computed by hand."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from limner.metrics import efficiency
from limner.metrics.efficiency import count_flops, num_parameters, peak_memory, sampling_speed


def test_parameters_are_counted_once():
    layer = nn.Linear(10, 10, bias=False)
    layer.weight.requires_grad_(False)
    assert num_parameters(nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(10, 3))) == 133


def test_multiply_adds_of_layers_equal_their_formulas():
    linear = count_flops(lambda: nn.Linear(20, 30)(torch.randn(4, 20)))
    assert linear.macs == 4 * 20 * 30
    assert linear.flops == 2 * linear.macs
    convolution = count_flops(lambda: nn.Conv2d(3, 8, 5)(torch.randn(2, 3, 12, 12)))
    assert convolution.macs == 2 * 8 * 8 * (8 * 3 * 5 * 5)


def test_multiply_adds_of_a_loop_count_each_iteration():
    layer = nn.Linear(5, 5)

    def steps(number):
        x = torch.randn(1, 5)
        for _ in range(number):
            x = layer(x)

    assert count_flops(lambda: steps(7)).macs == 7 * count_flops(lambda: steps(1)).macs == 175


def test_speed_is_the_speed_of_the_median_batch_after_the_warm_up(monkeypatch):
    waits, sizes, now = iter([0.9, 0.02, 0.3, 0.02, 0.01]), [], [0.0]
    monkeypatch.setattr(efficiency, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def draw(num_images):
        sizes.append(num_images)
        now[0] += next(waits)

    speed = sampling_speed(draw, batch_size=8, num_batches=4, num_warm_up=1, device="cpu")
    assert sizes == [8] * 5
    assert speed.slowest == pytest.approx(8 / 0.3)
    assert speed.images_per_second == pytest.approx(8 / 0.02)
    assert speed.fastest == pytest.approx(8 / 0.01)


@pytest.mark.slow  # a process that imports torch
def test_memory_peak_grows_with_allocations_and_stays():
    code = (
        "from limner.metrics.efficiency import peak_memory\n"
        "print(peak_memory('cpu')); taken = b'x' * 300_000_000; print(peak_memory('cpu'))\n"
        "del taken; print(peak_memory('cpu'))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, during, after = map(int, out.stdout.split())
    assert before > 50_000_000
    assert 280_000_000 < during - before < 400_000_000
    assert after > during - 10_000_000, "the peak must not fall"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_peak_of_a_gpu_is_measured():
    torch.cuda.reset_peak_memory_stats()
    before = peak_memory("cuda")
    torch.ones(25_000_000, device="cuda")
    assert peak_memory("cuda") - before >= 100_000_000
