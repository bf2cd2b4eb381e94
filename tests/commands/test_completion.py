"""Completions that a shell offers while a line is typed."""

import sys

import pytest

from limner import cli


@pytest.fixture
def completions(monkeypatch, capsys):
    def ask(line: str, program: str = "limner") -> list[str]:
        monkeypatch.setattr(sys, "argv", [program, "-sc", "query=bash"])
        monkeypatch.setenv("COMP_LINE", line)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        return capsys.readouterr().out.split()

    return ask


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("limner", "limner train model="),
        ("limner", "limner train seed=1 model="),
        ("train.py", "python train.py model="),
    ],
)
def test_completion_offers_the_options_of_a_group(completions, program, line):
    offered = completions(line, program)
    assert {"model=gan", "model=vae"} <= set(offered)
    assert not any("adam" in word for word in offered)


def test_completion_offers_the_keys_of_a_node(completions):
    assert "optimizer.lr=" in completions("limner train optimizer.")


@pytest.mark.parametrize("line", ["limner ", "limner ev", "limner"])
def test_completion_offers_the_commands(completions, line):
    assert {"train", "evaluate", "search"} <= set(completions(line))


def test_completion_offers_the_keys_of_a_command(completions):
    assert {"run=", "mode=", "to="} <= set(completions("limner sample ru"))
    assert completions("limner sample run=") == []  # the shell itself completes a path


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_prints_code_for_a_shell(monkeypatch, capsys, shell):
    for argv in (["limner", "train"], ["train.py"]):
        monkeypatch.setattr(sys, "argv", [*argv, "-sc", f"install={shell}"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        assert "-sc" in capsys.readouterr().out
