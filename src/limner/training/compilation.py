"""Compilation of training by torch.compile; docs/explanation/speed.md measures the gain.

A model of limner names its `loss_functions`: the methods that compute the losses of an update from
a batch. Each is compiled as one graph with all networks inside, and torch derives the graph of the
backward pass. Of a model from outside limner, each network is compiled by itself. No weight gets
another name. The step of a fused optimizer is one call of a kernel already, and stays.
"""

__all__ = ["COMPILE_MODES", "CompiledMethod", "compile_training"]

import logging
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from limner.processes import world_size

log = logging.getLogger(__name__)

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
"""Modes of torch.compile."""
CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")
"""Modes in which the outputs of a function lie in memory that its next call writes to."""


def compile_training(model: nn.Module, mode: str | None) -> None:
    """Compile what a model computes in an update, in place, when it is first called.

    Args:
        model: The model. The names of its weights do not change.
        mode: One of `COMPILE_MODES`, or None to compile nothing.
    """
    if mode is None:
        return
    if not hasattr(model, "loss_functions"):
        _compile_networks(model, mode)
        return
    from torch._dynamo import config  # this import takes long, and few runs need it

    if hasattr(config, "trace_autograd_ops"):  # since torch 2.11
        config.trace_autograd_ops = True  # gradient penalties call torch.autograd.grad
    config.allow_rnn = True  # torch.nn.LSTM is captured step by step, and else ends a graph
    config.optimize_ddp = False  # DDP would cut a graph in pieces, which a penalty does not allow
    # (test_two_processes_compute_the_same_losses_when_compiled)
    on_several = getattr(model, "compiles_on_several_processes", True)
    for path in model.loss_functions:
        *owner, name = path.split(".")
        part = operator.attrgetter(".".join(owner))(model) if owner else model
        setattr(part, name, CompiledMethod(getattr(part, name), mode, on_several=on_several))


class CompiledMethod:
    """A method that is compiled when it is called for training, with gradients switched on.

    Validation and samples call the method itself, since other weights and other batch sizes would
    be compiled again.

    A method that torch cannot capture as one graph, for example because of a user's network, is
    compiled in pieces. If an argument needs a gradient, the method computes a gradient of a
    gradient, which torch cannot do across pieces; the method then runs without compilation. The
    user gets one warning.

    Args:
        method: The bound method. It returns tensors, or containers of tensors.
        mode: One of `COMPILE_MODES`.
        on_several: Whether the method is compiled if several processes train together.
    """

    def __init__(self, method: Callable[..., Any], mode: str, *, on_several: bool = True) -> None:
        from torch._dynamo.exc import FailOnRecompileLimitHit, Unsupported

        self.method, self.mode, self.on_several = method, mode, on_several
        self._refusals = Unsupported, FailOnRecompileLimitHit
        self._function: Callable[..., Any] | None = self._compiled(fullgraph=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        is_compiled = self._function is not None and torch.is_grad_enabled()
        if not is_compiled or not (self.on_several or world_size() == 1):
            return self.method(*args, **kwargs)
        try:
            made = self._function(self.method.__self__, *args, **kwargs)
        except self._refusals as error:  # before anything was computed
            self._give_up(error, needs_gradient=_needs_gradient(args))
            return self(*args, **kwargs)
        if self.mode in CUDA_GRAPH_MODES:
            made = tree_map_only(Tensor, torch.clone, made)
        return made

    def _compiled(self, *, fullgraph: bool) -> Callable[..., Any]:
        return torch.compile(self.method.__func__, mode=self.mode, fullgraph=fullgraph)

    def _give_up(self, error: Exception, *, needs_gradient: bool) -> None:
        self._function = None if needs_gradient else self._compiled(fullgraph=False)
        reason = str(error).strip().partition("\n")[0]
        log.warning(
            "compile=%s: torch cannot compile %s as a whole, so it is %s (%s).",
            self.mode,
            self.method.__name__.strip("_"),
            "not compiled" if needs_gradient else "compiled in pieces",
            reason,
        )


def _compile_networks(model: nn.Module, mode: str) -> None:
    """Compile the networks that a model trains, in place."""
    for part in model.children():
        if any(parameter.requires_grad for parameter in part.parameters()):
            for network in part.children() if isinstance(part, nn.ModuleDict) else [part]:
                network.compile(mode=mode)


def _needs_gradient(args: tuple[Any, ...]) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in tree_leaves(args))
