"""Options of every optimizer step: gradient clipping and accumulation."""

__all__ = ["Gradients"]


class Gradients:
    """Clipping and accumulation of the gradients of each optimizer step.

    Args:
        max_norm: Euclidean norm to which longer gradients are scaled down, above 0; None for no
            clipping. Each player of a GAN is clipped by itself.
        accumulate: Number of equal micro-batches into which a batch is split, at least 1.
    """

    def __init__(self, *, max_norm: float | None, accumulate: int) -> None:
        if max_norm is not None and not max_norm > 0:
            raise ValueError(
                f"gradients.max_norm={max_norm}: must be above 0, or null for no clipping."
            )
        if accumulate < 1:
            raise ValueError(
                f"gradients.accumulate={accumulate}: must be a whole number of 1 or more."
            )
        self.max_norm, self.accumulate = max_norm, accumulate
