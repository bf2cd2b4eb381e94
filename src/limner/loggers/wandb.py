"""Logger for Weights & Biases, with or without an account."""

__all__ = ["WandbLogger"]

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from limner.loggers.flat_config import flat_config, run_name

SECONDS_BETWEEN_CONNECTIONS = 600.0
"""Seconds between two attempts to connect to W&B.

Without a network, wandb waits for a minute and a half, and training waits too.
"""

_opened: set[str] = set()
"""Ids of the W&B runs that the loggers of this process have opened."""


class WandbLogger(lightning_loggers.WandbLogger):
    """Logger for Weights & Biases.

    Without an API key, it writes offline files, which `wandb sync` can send later. A run folder is
    one W&B run with the same name, also after a resume.

    Args:
        folder: Run folder.
        project: Name of the W&B project.
    """

    def __init__(self, *, folder: str, project: str) -> None:
        known = os.environ.get("WANDB_API_KEY") or _has_login()
        super().__init__(
            name=run_name(folder),
            save_dir=folder,
            project=project,
            id=hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:12],
            resume="allow",
            offline=not known or os.environ.get("WANDB_MODE") == "offline",
        )
        # wandb ignores this argument, and warns of it even if it is None
        self._wandb_init.pop("anonymous", None)
        self._failure: Exception | None = None
        self._next_attempt = 0.0

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B run, which connects at the first use, and at most every 600 s after a failure."""
        if self._failure is not None and time.monotonic() < self._next_attempt:
            raise self._failure
        try:
            if self._experiment is None:
                self._finish_other_run()
            return super().experiment
        except Exception as error:
            self._failure = error
            self._next_attempt = time.monotonic() + SECONDS_BETWEEN_CONNECTIONS
            raise

    def _finish_other_run(self) -> None:
        """Finish the W&B run of another run folder that this process has trained before.

        Lightning's logger would write into any run that is open. A run that a user has opened
        stays open, and gets the values.
        """
        import wandb  # takes a second, and only this logger needs it

        if wandb.run is not None and wandb.run.id in _opened and wandb.run.id != self._id:
            wandb.finish()
        _opened.add(self._id)

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Write the config with flat keys such as `model/latent_dim`."""
        # W&B finds no key with a dot by a filter: it takes the dot for a level of nesting
        # (https://github.com/wandb/wandb/issues/3087, /6222). The search in a run's overview does
        # not look into nested keys. A slash works in both, and is how Lightning flattens configs.
        super().log_hyperparams(flat_config(params, separator="/"))


def _has_login() -> bool:
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return netrc.exists() and "api.wandb.ai" in netrc.read_text()
