"""Access to the processes that Lightning starts.

tests/training/test_further_processes.py fails if Lightning changes this code.
"""

__all__ = ["watch_launched"]

from collections.abc import Callable, Sequence
from subprocess import Popen
from typing import Any

import lightning as L
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher


def watch_launched(trainer: L.Trainer, watch: Callable[[Sequence[Popen]], None]) -> None:
    """Pass the processes that Lightning will start to a function.

    Nothing happens if Lightning starts no process by itself.

    Args:
        trainer: Trainer that has not been used yet.
        watch: Function that is called once with the processes, and returns immediately.
    """
    launcher = trainer.strategy.launcher
    if type(launcher) is _SubprocessScriptLauncher:
        trainer.strategy._launcher = _Launcher(launcher, watch)


class _Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher, which also passes the started processes to a function.

    Args:
        replaced: Launcher to replace.
        watch: Function to call, see `watch_launched`.
    """

    def __init__(
        self, replaced: _SubprocessScriptLauncher, watch: Callable[[Sequence[Popen]], None]
    ) -> None:
        super().__init__(replaced.cluster_environment, replaced.num_processes, replaced.num_nodes)
        self._watch = watch

    def launch(
        self, function: Callable, *args: Any, trainer: L.Trainer | None = None, **kwargs: Any
    ) -> Any:
        """Start the processes and call the function, as Lightning does."""
        self.cluster_environment.validate_settings(self.num_processes, self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            self._watch(self.procs)
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)
