"""Keys of the network that no part reads are refused."""

import pytest

from limner.config.unread import refuse_unread_network, unread
from limner.errors import UserError


def test_unread_follows_references_of_parts_that_are_read(composed):
    config = composed("model=gan", "network=mlp")
    read = [
        "network.generator", "network.generator.hidden_dims", "network.spectral_norm",
        "network.num_classes", "network.discriminator_condition",
    ]  # fmt: skip
    assert unread(config, read) == []
    wrong = ["network.encoder.hidden_dims", "network.classifier", "network.params_per_value"]
    assert unread(config, wrong) == wrong


@pytest.mark.parametrize(
    ("words", "word", "reads"),
    [
        (["model=vae", "network=mlp"], "network.generator.hidden_dims=[3]", "network.decoder"),
        (["model=vae", "network=mlp"], "network.spectral_norm=true", "network.encoder"),
        (["model=classifier", "network=mlp"], "+network.encoder.a=1", "network.classifier"),
        (["model=latent_prior", "model.first_stage=x"], "+network.width=3", "no network"),
    ],
)
def test_refuse_unread_network_names_the_key_and_the_keys_that_are_read(
    composed, words, word, reads
):
    with pytest.raises(UserError, match="would do nothing") as refusal:
        refuse_unread_network(composed(*words), [*words, word])
    assert str(refusal.value).startswith(word.partition("=")[0].lstrip("+"))
    assert reads in str(refusal.value)


PENALTIES = ["none", "gradient", "[r1,lecam]"]
CONDITIONS = ["none", "concat", "auxiliary"]
NETWORKS = ["dcgan", "mlp", "resnet"]


@pytest.mark.parametrize(
    ("network", "condition", "penalty"),
    [
        pytest.param(
            NETWORKS[i], CONDITIONS[j], PENALTIES[(i + j) % 3], marks=[pytest.mark.slow] * (i != j)
        )
        for i in range(3)
        for j in range(3)
    ],
)
def test_refuse_unread_network_accepts_keys_that_a_group_writes(
    composed, network, condition, penalty
):
    """A penalty or a condition may write a key that an MLP does not read; a user may not."""
    words = [
        "model=gan", f"network={network}", f"model/condition={condition}",
        f"model/penalty={penalty}",
    ]  # fmt: skip
    refuse_unread_network(composed(*words), words)


def test_unread_network_key_is_refused_before_training(run):
    result = run("model=vae", "network=mlp", "network.generator.hidden_dims=[3]")
    assert result.code == 1
    assert "network.generator.hidden_dims: the chosen model does not read this key" in result.err


@pytest.mark.parametrize("word", ["model/network=mlp", "model/network@model.network=mlp"])
def test_earlier_name_of_the_network_group_is_answered_with_the_present_name(run, word):
    result = run(word)
    assert result.code == 2
    assert "network=mlp" in result.err
    assert len(result.err.splitlines()) == 1


def test_experiment_with_the_earlier_network_group_is_answered_with_the_present_name(
    run, tmp_path
):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - override /model/network: mlp\n"
    (folder / "old.yaml").write_text(text)
    result = run("--config-dir", str(tmp_path / "mine"), "experiment=old")
    assert result.code == 2
    assert "experiment/old" in result.err
    assert "override /network: mlp" in result.err
    assert len(result.err.splitlines()) == 1
