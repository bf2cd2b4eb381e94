"""The process of an opponent, started by `python -m benchmarks.play loop < setup.json`."""

__all__ = ["main"]

import json
import sys

import torch

from benchmarks.cases import Setup, make_networks


def main() -> None:
    """Train with the program that the first argument names and the setup on standard input."""
    torch.manual_seed(0)
    setup = Setup(**json.load(sys.stdin))
    {"loop": _loop, "tutorial": _tutorial, "lightning": _lightning}[sys.argv[1]](setup)


def _loop(setup: Setup) -> None:
    from benchmarks.loop import GANLoop, VAELoop  # import only the packages of this program

    _take_turns(setup, GANLoop if setup.model == "GAN" else VAELoop)


def _tutorial(setup: Setup) -> None:
    from benchmarks.tutorial import GANTutorial, VAETutorial

    _take_turns(setup, GANTutorial if setup.model == "GAN" else VAETutorial)


def _lightning(setup: Setup) -> None:
    from benchmarks.callback import TakeTurns
    from benchmarks.template import GANTemplate, VAETemplate, fit

    template = GANTemplate if setup.model == "GAN" else VAETemplate
    fit(setup, template(setup, *make_networks(setup)), TakeTurns())


def _take_turns(setup: Setup, program: type) -> None:
    from benchmarks.turns import Turns

    training = program(setup, *make_networks(setup))
    turns = Turns(
        device=setup.device,
        draw=training.draw,
        save=lambda path: torch.save(training.state(), path),
    )
    for _ in training.updates():
        if not turns.after_update():
            break


if __name__ == "__main__":
    main()
