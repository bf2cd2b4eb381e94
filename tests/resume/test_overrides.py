"""Command lines taken apart."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from limner.resume import overrides as words


def test_flags_are_told_from_overrides():
    line = ["--config-dir", "mine", "model=gan", "-m", "+a.b=1", "--config-dir=other", "~c"]
    flags, overrides = words.split_flags(line)
    assert flags == ["--config-dir", "mine", "-m", "--config-dir", "other"]
    assert overrides == ["model=gan", "+a.b=1", "~c"]


@pytest.mark.parametrize("word", ["resume=x", "++resume=x", "resume='x'", 'resume="x"'])
def test_the_last_value_of_a_key(word):
    assert words.last_value(["resume=y", "seed=1", word], "resume") == "x"
    assert words.without_key(["seed=1", word], "resume") == ["seed=1"]


def test_no_value_of_a_key():
    assert words.last_value(["resumed=y", "x.resume=1"], "resume") is None


@pytest.mark.parametrize("text", ["plain", "with space", "it's", "a,b=c", "[x]{y}"])
def test_quoted_words_are_read_back_by_us_and_by_hydra(text):
    word = f"resume={words.quoted(text)}"
    assert words.last_value([word], "resume") == text
    assert OverridesParser.create().parse_overrides([word])[0].value() == text


@pytest.mark.parametrize("flag", ["--help", "--cfg", "--cfg=job", "-c", "--info"])
def test_some_flags_run_nothing(flag):
    assert words.only_shows(["model=gan", flag])
    assert not words.only_shows(["model=gan", "-m"])


@pytest.mark.parametrize("word", ["-m", "--multirun", "hydra.mode=MULTIRUN"])
def test_sweeps_are_known(word):
    assert words.is_sweep(["a=1", word])
    assert not words.is_sweep(["a=1"])
