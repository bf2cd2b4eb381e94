"""Loggers for the values of a run: a CSV file, TensorBoard, Weights & Biases.

A logger may raise any exception: training wraps each logger in a `ToleratedLogger`.
"""

from limner.loggers.csv_file import CSVLogger
from limner.loggers.services import TensorBoardLogger, WandbLogger
from limner.loggers.tolerated import ToleratedLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "ToleratedLogger", "WandbLogger"]
