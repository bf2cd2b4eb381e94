import copy

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl


@pytest.fixture(autouse=True)
def _jobs_composed_once(monkeypatch):
    """Compose each job of a sweep once. Hydra composes it twice: to check it, and to start it."""
    known, load = {}, ConfigLoaderImpl.load_sweep_config

    def load_once(self, master_config, sweep_overrides):
        key = id(master_config), *sweep_overrides
        if key not in known:
            known[key] = master_config, load(self, master_config, sweep_overrides)
        return copy.deepcopy(known[key][1])

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", load_once)
