"""Check of the number of processes before training."""

__all__ = ["ProcessCounts"]

import lightning as L

from limner.errors import UserError
from limner.processes import world_size


class ProcessCounts(L.Callback):
    """Callback that compares nodes x devices, the trainer's world size and the process group.

    `limner.launch.environment` checks the environment variables earlier. This callback checks the
    result, after the processes have connected and before training starts.

    Args:
        num_processes: Number of processes, trainer.num_nodes x trainer.devices.
    """

    def __init__(self, *, num_processes: int) -> None:
        self.num_processes = num_processes

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        group = world_size()
        if not self.num_processes == trainer.world_size == group:
            raise UserError(
                f"trainer.num_nodes x trainer.devices make {self.num_processes} processes, the "
                f"trainer counts {trainer.world_size}, and {group} processes have connected. "
                "These three numbers must be equal."
            )
