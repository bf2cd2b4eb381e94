"""Where the values of a run go: a file, TensorBoard, Weights & Biases.

A logger here may raise as it likes: training meets each behind a `ToleratedLogger`.
"""

from limner.loggers.csv_file import CSVLogger
from limner.loggers.services import TensorBoardLogger, WandbLogger
from limner.loggers.tolerated import ToleratedLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "ToleratedLogger", "WandbLogger"]
