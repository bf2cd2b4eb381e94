"""Runs on data with captions: the vocabulary stays with the run, its resume, export and scores."""

import yaml

import limner
from limner.commands.export import run as export
from limner.data.vocabulary import Vocabulary
from support import fakes

QUICK = [
    "model=gan", "network=mlp", "data=captioned", "data.batch_size=8", "metrics=none",
    "logger=none", "~callbacks.pictures", "~callbacks.codes", "network.generator.hidden_dims=[8]",
    "network.discriminator.hidden_dims=[8]", "data.group=column:file_name",
]  # fmt: skip


def facts(path):
    data = yaml.safe_load((path / "config.yaml").read_text())["data"]
    return {key: data[key] for key in ("vocabulary", "num_tokens", "text_length")}


def test_vocabulary_stays_with_a_run_its_resume_and_its_export(run, tmp_path):
    photos = fakes.captioned(tmp_path / "photos", 40)
    words = [*QUICK, f"data.path={photos}", "trainer.max_steps=2", "hydra.run.dir=run"]
    result = run(*words)
    assert result.code == 0, result.err
    assert "words, vocabulary of 11" in " ".join(result.out.split())
    expected = facts(tmp_path / "run")
    vocabulary = Vocabulary.parse(expected["vocabulary"])
    assert set(vocabulary.words) == {"a", "picture", "of", "number", *"0123456"}
    assert (expected["num_tokens"], expected["text_length"]) == (13, 5)
    moved = photos.rename(tmp_path / "moved")
    result = run("resume=run", f"data.path={moved}", "trainer.max_steps=3")
    assert result.code == 0, result.err
    assert facts(tmp_path / "run") == expected
    assert export(["run=run", "to=exported"]) == 0
    assert facts(tmp_path / "exported") == expected
    for path in ("run", "exported"):
        data = limner.load(path).config["data"]
        assert {key: data[key] for key in expected} == expected


def test_resume_refuses_changed_captions(run, tmp_path):
    photos = fakes.captioned(tmp_path / "photos", 40)
    first = run(*QUICK, f"data.path={photos}", "trainer.max_steps=1", "hydra.run.dir=run")
    assert first.code == 0, first.err
    file = photos / "metadata.csv"
    file.write_text(file.read_text().replace("picture", "drawing"))
    refused = run("resume=run", "trainer.max_steps=2")
    assert refused.code == 1
    assert "The training captions of captioned" in " ".join(refused.err.split())
    assert "Traceback" not in refused.err
