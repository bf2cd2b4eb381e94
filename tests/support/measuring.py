"""Short runs that keep their weights after every update, and their values computed again."""

import copy
import csv
import json
from pathlib import Path

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.epochs import Scorer
from limner.data.batches import EvaluationBatches
from limner.pixels import to_uint8
from limner.randomness import generator_for, seed_for, seed_torch
from limner.training.train import prepare, train

SMALL = [
    "accelerator=cpu", "logger=csv", "network=mlp", "model.latent_dim=3",
    "optimizer.lr=0.01",
    "network.encoder.hidden_dims=[8]", "network.decoder.hidden_dims=[8]",
    "network.generator.hidden_dims=[8]", "network.discriminator.hidden_dims=[8]",
    "~callbacks.progress", "~callbacks.pictures", "~callbacks.codes",
    "~callbacks.game", "callbacks.log.every_num_updates=1000",
    "+callbacks.kept._target_=support.measuring.Kept",
]  # fmt: skip


class Kept(L.Callback):
    """A record of the weights that a run trains, after every update."""

    weights: dict[int, dict[str, torch.Tensor]] = {}  # noqa: RUF012
    trainer: L.Trainer | None = None

    def on_fit_start(self, trainer, model) -> None:
        Kept.trainer, Kept.model = trainer, model

    def on_train_batch_end(self, trainer, model, *args) -> None:
        Kept.weights[trainer.global_step] = copy.deepcopy(model.state_dict())


class Run:
    """A run in `folder` that may be trained in several parts.

    Args:
        config: The composed config.
        folder: An empty folder.
    """

    def __init__(self, config: DictConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        OmegaConf.set_struct(config, False)
        self.weights: dict[int, dict[str, torch.Tensor]] = {}
        self.objective: float | None = None

    def train(self, **trainer) -> None:
        """Train with these arguments of the trainer, from the last checkpoint if there is one."""
        self.folder.mkdir(exist_ok=True)
        config = copy.deepcopy(self.config)
        Kept.weights = self.weights
        config.run_dir = str(self.folder)
        if (self.folder / "checkpoints").exists():
            config.resume = str(self.folder)
        config.trainer = OmegaConf.merge(config.trainer, trainer)
        self.objective = train(prepare(config))
        self.trainer, self.model = Kept.trainer, Kept.model

    @property
    def last(self) -> int:
        return max(self.weights)

    @property
    def scores(self) -> dict:
        path = self.folder / "scores.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def rows(self) -> dict[int, dict[str, float]]:
        """Return the `val/` values of metrics.csv by update, without updates that have none."""
        if not (self.folder / "metrics.csv").exists():
            return {}
        with open(self.folder / "metrics.csv", newline="") as file:
            found = {
                int(row["update"]): {
                    k: float(v) for k, v in row.items() if k.startswith("val/") and v != ""
                }
                for row in csv.DictReader(file)
            }
        return {update: values for update, values in found.items() if values}

    def best_update(self) -> int | None:
        path = self.folder / "checkpoints" / "best.ckpt"
        return torch.load(path, weights_only=True)["global_step"] if path.exists() else None

    def validated(self, update: int) -> dict[str, float]:
        """Return the values of the weights of `update` on the validation images."""
        model, data, logged = self._loaded(update), self.trainer.datamodule, []
        batches = EvaluationBatches(
            *data.split("validation"), batch_size=data.batch_size, rank=0, world_size=1,
            layout=torch.contiguous_format,
        )  # fmt: skip
        limit = self.trainer.limit_val_batches
        num_batches = limit if isinstance(limit, int) else int(limit * len(batches))
        loop = self.trainer.fit_loop.epoch_loop
        loop.sum_up = lambda values, number: logged.append((values, number)) or {}
        seed_torch(seed_for(self.config.seed, "validation", update, 0), torch.device("cpu"))
        with torch.no_grad():
            for index, batch in enumerate(list(batches)[:num_batches]):
                model.validation_step(batch, index)
        del loop.sum_up
        total = sum(size for _, size in logged)
        return {
            name: sum(float(values[name]) * size for values, size in logged) / total
            for name in logged[0][0]
        }

    def scored(self, update: int) -> dict[str, float]:
        """Return the scores of the samples of the weights of `update`."""
        model, data = self._loaded(update), self.trainer.datamodule
        (scorer,) = (c for c in self.trainer.callbacks if isinstance(c, Scorer))

        def images(first: int, end: int) -> torch.Tensor:
            chunk = first // scorer.evaluator.batch_size
            generator = generator_for(self.config.seed, "scores", chunk)
            return to_uint8(model.sample(end - first, generator=generator))

        device = torch.device("cpu")
        found = scorer.evaluator.score(
            images,
            scorer.num_samples,
            references=scorer.references(data, device, num_samples=scorer.num_samples),
            device=device,
        )
        return {f"val/{name}": score.value for name, score in found.items()}

    def _loaded(self, update: int) -> L.LightningModule:
        self.model.load_state_dict(self.weights[update])
        return self.model.eval()
