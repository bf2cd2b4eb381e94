"""Refuses to train where processes do not agree on how many they are."""

__all__ = ["ProcessCounts"]

import lightning as L

from limner.errors import UserError
from limner.processes import world_size


class ProcessCounts(L.Callback):
    """Compares nodes x devices, the trainer's world size and the size of the process group.

    `limner.launch.environment` compares what the environment says before that. This callback looks
    at the result, once the processes have found one another and before anything is trained.

    Args:
        num_processes: trainer.num_nodes x trainer.devices.
    """

    def __init__(self, *, num_processes: int) -> None:
        self.num_processes = num_processes

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        group = world_size()
        if not self.num_processes == trainer.world_size == group:
            raise UserError(
                f"trainer.num_nodes x trainer.devices make {self.num_processes} processes, the "
                f"trainer counts {trainer.world_size}, and {group} have found one another: they "
                "would not train as one."
            )
