"""A callback that records the training data of each process of a run."""

import hashlib
import json
from pathlib import Path

import lightning as L


class Seen(L.Callback):
    """Writer of seen_<rank>.json: hashes of the images, in order, and the learning rates."""

    def __init__(self) -> None:
        self.images: list[str] = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx) -> None:
        self.images += [hashlib.sha256(x.numpy().tobytes()).hexdigest() for x in batch["image"]]

    def on_train_end(self, trainer, model) -> None:
        rates = [group["lr"] for o in trainer.optimizers for group in o.param_groups]
        path = Path(trainer.default_root_dir, f"seen_{trainer.global_rank}.json")
        path.write_text(json.dumps({"images": self.images, "lr": rates}))
