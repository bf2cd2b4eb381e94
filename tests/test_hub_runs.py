"""Runs on data sets of the hub's layouts resume exactly, without a network, and after a move."""

import shutil
import socket

import pytest
import torch
import yaml
from omegaconf import OmegaConf

import limner
from support import hub_data
from support.hub import TOKEN, serving
from support.runs import last_checkpoint

COMMAND = (
    "model=cgan", "network=mlp", "data=huggingface", "data.text_column=text",
    "data.batch_size=4", "data.augmentation=null", "metrics=none", "logger=none",
    "accelerator=cpu", "~callbacks.pictures",
)  # fmt: skip


@pytest.fixture
def without_network(monkeypatch):
    """Refuse every connection."""

    def refused(self, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)


def weights(folder):
    return torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]


def test_run_on_parquet_files_resumes_exactly_after_they_were_moved(
    run, tmp_path, without_network
):
    """It trains three times, since the resumed run is compared with a run in one piece."""
    hub_data.parquet(tmp_path / "set", train=12, test=3)
    for name, steps in (("whole", 4), ("parts", 2)):
        result = run(
            *COMMAND, "data.path=set", f"trainer.max_steps={steps}", f"hydra.run.dir={name}"
        )
        assert result.code == 0, result.err
    data = OmegaConf.load("parts/config.yaml").data
    assert (data.path, data.revision) == (str(tmp_path / "set"), None)
    assert (data.num_classes, data.image_shape) == (3, [3, 8, 8])
    assert sorted(data.vocabulary.split()) == ["a", "blue", "green", "picture", "red"]
    assert "words, vocabulary of 5" in " ".join(result.out.split())
    shutil.move(tmp_path / "set", tmp_path / "moved")
    result = run("resume=parts", "trainer.max_steps=4")
    assert f"data.path={tmp_path}/set does not exist" in result.err
    result = run("resume=parts", "trainer.max_steps=4", "data.path=moved")
    assert result.code == 0, result.err
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key
    hub_data.parquet(tmp_path / "other", start=1, train=12, test=3)
    result = run("resume=parts", "trainer.max_steps=5", "data.path=other")
    assert "The training images of huggingface differ from those at the start" in result.err


def test_run_keeps_the_commit_of_its_data_set_and_the_card_names_it(run, tmp_path, monkeypatch):
    """It trains twice and exports, since the commit must reach the records of both."""
    with serving(tmp_path / "cache") as hub:
        folder = hub_data.parquet(tmp_path / "set", train=12, test=3)
        commit = hub.add_folder("owner/set", folder)
        words = ("trainer.max_steps=1", "hydra.run.dir=run")
        result = run(*COMMAND, "data.path=owner/set", *words)
        assert result.code == 0, result.err
        shutil.rmtree(folder)
        hub.add_folder("owner/set", hub_data.parquet(folder, start=7, train=12, test=3))
        result = run("resume=run", "trainer.max_steps=2")
        assert result.code == 0, result.err
        data = OmegaConf.load("run/config.yaml").data
        assert (data.path, data.revision) == ("owner/set", commit)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        run_export("run=run", "to=hf://user/model")
        files = hub.files["models", "user/model"][hub.branches["models", "user/model"]["main"]]
        card = files["README.md"].decode()
        assert yaml.safe_load(card.split("---")[1])["datasets"] == ["owner/set"]
        assert "# GAN on owner" in card
        assert f"| commit | `{commit}` |" in card
        theirs = limner.load("hf://user/model", device="cpu")
        assert theirs.config["data"]["revision"] == commit
        assert theirs.sample(2, label=1).shape == (2, 8, 8, 3)


def run_export(*words):
    from limner.commands import export

    assert export.run(list(words)) == 0
