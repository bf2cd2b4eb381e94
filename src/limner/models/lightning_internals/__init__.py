"""Changes to Lightning's internals. No other module uses Lightning's private attributes.

tests/test_private_parts.py enforces this rule. Each module names the test that fails if
Lightning changes this code.
"""

from limner.models.lightning_internals.counting import count_update
from limner.models.lightning_internals.epoch_loop import EpochLoop
from limner.models.lightning_internals.fit_loop import FitLoop
from limner.models.lightning_internals.gradient_accumulation import GradientAccumulation
from limner.models.lightning_internals.launcher import watch_launched
from limner.models.lightning_internals.reporting import backward, finish_update, report_evaluation

__all__ = [
    "EpochLoop",
    "FitLoop",
    "GradientAccumulation",
    "backward",
    "count_update",
    "finish_update",
    "report_evaluation",
    "watch_launched",
]
