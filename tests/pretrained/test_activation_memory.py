"""The estimate of a network's memory, and the refusal of what does not fit."""

import pytest
import torch
from torch import nn

from limner.errors import UserError
from limner.pretrained import activation_memory
from limner.pretrained.activation_memory import ActivationMemory, free_bytes

CPU = torch.device("cpu")
LAYERS = nn.Sequential(*(nn.Conv2d(3 if i == 0 else 32, 32, 3, padding=1) for i in range(4)))


def convolutions(side):
    return LAYERS(torch.zeros(1, 3, side, side))


def attention(side):
    flat = torch.zeros(side**2 // 16, 4)
    return (flat @ flat.T).sum()


def test_peak_counts_the_tensors_that_are_in_memory_at_the_same_time():
    counted = ActivationMemory(convolutions).peak_bytes(1000 * 700)
    assert counted == (3 + 2 * 32) * 4 * 1000 * 700


def test_peak_grows_with_the_square_of_the_pixels_for_attention_over_all_pixels():
    memory = ActivationMemory(attention)
    assert memory.peak_bytes(512**2) / memory.peak_bytes(256**2) == pytest.approx(16, rel=0.05)


def test_check_refuses_what_needs_more_than_the_free_memory(monkeypatch):
    memory = ActivationMemory(convolutions)
    needed = memory.peak_bytes(300 * 200)
    monkeypatch.setattr(activation_memory, "free_bytes", lambda _: 2 * needed)
    memory.check(200, 300, device=CPU, advice="")
    monkeypatch.setattr(activation_memory, "free_bytes", lambda _: needed)
    with pytest.raises(UserError, match=r"300 x 200 pixels at once need about .* GiB.*Less\."):
        memory.check(200, 300, device=CPU, advice="Less.")
    memory.check(100, 100, device=CPU, advice="")  # small pictures always run


def test_networks_run_on_small_pictures_once_and_only_if_a_picture_is_large():
    sides = []
    memory = ActivationMemory(lambda side: sides.append(side) or torch.zeros(side))
    memory.check(128, 128, device=CPU, advice="")
    assert sides == []
    for _ in range(2):
        memory.check(500, 500, device=CPU, advice="")
    assert sides == [64, 128]


def test_free_bytes_of_the_cpu_are_positive():
    assert free_bytes(CPU) > 0
