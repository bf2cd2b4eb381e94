"""Loggers for the values of a run: a CSV file, TensorBoard, Weights & Biases.

A logger may raise any exception: training wraps each logger in a `ToleratedLogger`. TensorBoard is
imported when its logger is used, so that other runs start sooner and do not need it.
"""

from typing import TYPE_CHECKING, Any

from limner.loggers.csv_file import CSVLogger
from limner.loggers.tolerated import ToleratedLogger
from limner.loggers.wandb import WandbLogger

if TYPE_CHECKING:
    from limner.loggers.tensorboard import TensorBoardLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "ToleratedLogger", "WandbLogger"]


def __getattr__(name: str) -> Any:
    if name != "TensorBoardLogger":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from limner.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger
