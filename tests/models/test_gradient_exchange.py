"""Two processes average the gradients of one optimizer as DDP does."""

import contextlib
import copy
from types import SimpleNamespace

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from limner.models import gradient_exchange
from limner.models.gradient_exchange import average_gradients
from limner.models.gradients import Gradients
from limner.models.optimization import OptimizerStep
from support.two_processes import on_two

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Three layers: all processes use `conv`, the first process uses `own`, none uses `spare`."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.own, self.spare = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1), nn.Linear(2, 2)
        self.conv.to(memory_format=torch.channels_last)

    def forward(self, images, *, own):
        values = self.conv(images)
        return (self.own(values) if own else values).square().mean()


def gradients(network):
    return {name: weight.grad for name, weight in network.named_parameters()}


def both_ways(rank):
    """Return the gradients after DDP, and after `average_gradients`."""
    network, part = Network(), IMAGES[rank::2]
    ours = copy.deepcopy(network)
    ddp = DistributedDataParallel(network, find_unused_parameters=True)
    ddp(part, own=rank == 0).backward()
    ours(part, own=rank == 0).backward()
    average_gradients(list(ours.parameters()))
    return gradients(network), gradients(ours), [w.stride() for w in ours.parameters()]


@pytest.mark.parametrize("bucket", [2**20, 600, 1])
def test_average_gradients_gives_the_gradients_of_ddp(tmp_path, monkeypatch, bucket):
    """They are the same to the bit, also for weights that some or all processes do not use."""
    monkeypatch.setattr(gradient_exchange, "BUCKET", bucket)
    results = on_two(both_ways, tmp_path)
    for by_ddp, ours, strides in results:
        for (name, gradient), stride in zip(ours.items(), strides, strict=True):
            if name.startswith("spare"):
                assert gradient is None
                assert by_ddp[name] is None
            else:
                assert torch.equal(gradient, by_ddp[name]), name
                assert gradient.stride() == stride, name
    assert torch.equal(results[0][1]["own.weight"], results[1][1]["own.weight"])


def of_two_types(rank):
    weights = [nn.Parameter(torch.zeros(3, dtype=kind)) for kind in (torch.float32, torch.float64)]
    weights += [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2), requires_grad=False)]
    for weight in weights[:3]:
        weight.grad = torch.full_like(weight, 1.0 + 2 * rank)
    average_gradients(weights)
    return [weight.grad for weight in weights]


def test_average_gradients_keeps_types_and_leaves_out_frozen_weights(tmp_path):
    for *found, frozen in on_two(of_two_types, tmp_path):
        assert [gradient.dtype for gradient in found] == [
            torch.float32,
            torch.float64,
            torch.float32,
        ]
        assert all((gradient == 2.0).all() for gradient in found)
        assert frozen is None


def players(rank):
    """Return the gradients of a step of the second optimizer, and the number of sent values."""
    first, second = nn.Linear(50, 50), nn.Linear(3, 1)
    nn.init.ones_(second.weight)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.0) for each in (first, second)]
    strategy = SimpleNamespace(block_backward_sync=contextlib.nullcontext)
    trainer = SimpleNamespace(optimizers=optimizers, strategy=strategy, fit_loop=None)
    model = SimpleNamespace(trainer=trainer, manual_backward=lambda loss: loss.backward())
    sent, send = [], distributed.all_reduce

    def all_reduce(tensor, **options):
        sent.append(tensor.numel())
        return send(tensor, **options)

    distributed.all_reduce = all_reduce
    step = OptimizerStep(model, optimizers[1], Gradients(max_norm=None, accumulate=2))
    for _ in range(2):
        loss = second(torch.full((1, 3), 1.0 + 2 * rank)).sum()
        step.backward(loss, {"loss": loss})
    step.finish()
    return second.weight.grad, sum(sent)


def test_optimizer_step_sends_only_its_own_weights_once(tmp_path):
    for gradient, num_sent in on_two(players, tmp_path):
        assert (gradient == 2.0).all()
        assert num_sent == 3 + 1 + 2  # weights, biases, and a flag for each of both
