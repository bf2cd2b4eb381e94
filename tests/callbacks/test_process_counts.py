"""Processes whose settings differ cannot train as one run."""

from types import SimpleNamespace

import pytest
from torch import distributed

from limner.callbacks.process_counts import ProcessCounts
from limner.errors import UserError


@pytest.mark.parametrize(
    ("asked", "counted", "group", "fits"),
    [(1, 1, None, True), (2, 2, 2, True), (2, 1, None, False), (1, 1, 2, False), (2, 2, 1, False),
     (2, 2, None, False)],
)  # fmt: skip
def test_process_counts_must_agree(monkeypatch, asked, counted, group, fits):
    monkeypatch.setattr(distributed, "is_initialized", lambda: group is not None)
    monkeypatch.setattr(distributed, "get_world_size", lambda: group)
    guard, trainer = ProcessCounts(num_processes=asked), SimpleNamespace(world_size=counted)
    if fits:
        guard.setup(trainer, None, "fit")
        return
    with pytest.raises(
        UserError, match=f"make {asked} .* counts {counted}, and {group or 1} processes have"
    ):
        guard.setup(trainer, None, "fit")
