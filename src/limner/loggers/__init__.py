"""Loggers for the values of a run: a CSV file, TensorBoard, Weights & Biases.

A logger may raise any exception: training wraps each logger in a `ToleratedLogger`.
"""

from limner.loggers.csv_file import CSVLogger
from limner.loggers.tensorboard import TensorBoardLogger
from limner.loggers.tolerated import ToleratedLogger
from limner.loggers.wandb import WandbLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "ToleratedLogger", "WandbLogger"]
