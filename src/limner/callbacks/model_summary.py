"""A table of the model's parts and their numbers of parameters."""

__all__ = ["ModelSummary"]

from lightning.pytorch.callbacks import RichModelSummary


class ModelSummary(RichModelSummary):
    """Callback that prints the table when training starts, in the first process.

    Args:
        max_depth: Number of levels of nested parts that have a row; -1 for all.
    """

    def __init__(self, *, max_depth: int) -> None:
        if max_depth < -1 or max_depth == 0:
            raise ValueError(
                f"callbacks.model_summary.max_depth={max_depth}: must be 1 or more, or -1 for all."
            )
        super().__init__(max_depth=max_depth)
