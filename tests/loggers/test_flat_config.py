"""Flat configs and names, by which services list runs."""

import json
from pathlib import Path

import pytest

from limner.loggers.flat_config import flat_config, run_name


def test_flat_config_joins_the_keys_of_values():
    nested = {"seed": 0, "model": {"loss": {"name": "hinge"}, "ema": None, "fused": True}}
    flat = flat_config(nested, separator=".")
    assert flat == {"seed": 0, "model.loss.name": "hinge", "model.ema": None, "model.fused": True}
    assert "model/loss/name" in flat_config(nested, separator="/")


def test_flat_config_has_single_values_that_json_can_hold():
    flat = flat_config(
        {"shape": [1, 28], "empty": [], "lr": float("inf"), "path": [Path("a")],
         "parts": [{"weight": 1}, {"weight": 2}]},
        separator=".",
    )  # fmt: skip
    assert flat == {
        "shape": "[1, 28]", "empty": "[]", "lr": "inf", "path": '["a"]', "parts.0.weight": 1,
        "parts.1.weight": 2,
    }  # fmt: skip
    json.dumps(flat, allow_nan=False)


def test_flat_config_leaves_out_where_a_run_writes():
    config = {"run_dir": "a", "resume": "a", "logger": {"csv": {"folder": "a"}}, "seed": 1}
    assert flat_config(config, separator=".") == {"seed": 1}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("outputs/vae_digits/2026-01-01_ab12", "vae_digits/2026-01-01_ab12"),
        ("outputs/sweeps/lr/lr=0.1", "sweeps/lr/lr=0.1"),
        ("outputs/old/outputs/gan", "gan"),
        ("elsewhere/run", "elsewhere/run"),
    ],
)
def test_run_name_is_the_folder_below_outputs(tmp_path, monkeypatch, folder, name):
    monkeypatch.chdir(tmp_path)
    assert run_name(folder) == name
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    assert run_name(".") == name, "depends on the working folder"
