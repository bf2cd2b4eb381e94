"""The launcher `hydra/launcher=slurm`; Hydra finds launchers only in this package.

No file in conf/hydra/launcher may have the name of another plugin's own config (joblib, ray).
Hydra would print many warnings about such a file.
"""

__all__ = ["SlurmLauncher"]

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


class SlurmLauncher(Launcher):
    """Launcher that submits the jobs of a sweep to SLURM and waits for them.

    If the launcher is stopped, the jobs stay in the queue.

    Args:
        settings: Settings of conf/hydra/launcher/slurm.yaml.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context, self.task_function = hydra_context, task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from limner.commands.sweep import slurm  # Hydra imports this file at every start
        from limner.commands.sweep.slurm_job import QueuedJob

        setup_globals()
        slurm.refuse_without_slurm()
        plain = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in self.settings.items()
        }
        settings, sweep = slurm.Settings(**plain), Path(self.config.hydra.sweep.dir)
        loader = self.hydra_context.config_loader
        configs = [loader.load_sweep_config(self.config, list(words)) for words in job_overrides]
        shapes = [slurm.shape_of(config) for config in configs]
        slurm.refuse(sorted(set(shapes), key=str), settings)
        found, queued = [], defaultdict(list)
        for index, (config, shape) in enumerate(zip(configs, shapes, strict=True)):
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = initial_job_idx + index
            found.append(
                run_job(
                    hydra_context=self.hydra_context,
                    task_function=self.task_function,
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
            )
            if isinstance(found[-1].return_value, QueuedJob):
                queued[shape].append(found[-1].return_value)
        slurm.submit(queued, settings, sweep.absolute())
        slurm.wait(sweep)
        return found
