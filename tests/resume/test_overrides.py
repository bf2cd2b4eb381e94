"""The parts of a command line."""

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

from limner.resume import overrides as words


def test_flags_are_separated_from_overrides():
    line = ["--config-dir", "mine", "model=gan", "-m", "+a.b=1", "--config-dir=other", "~c"]
    flags, overrides = words.split_flags(line)
    assert flags == ["--config-dir", "mine", "-m", "--config-dir", "other"]
    assert overrides == ["model=gan", "+a.b=1", "~c"]


@pytest.mark.parametrize("word", ["resume=x", "++resume=x", "resume='x'", 'resume="x"'])
def test_last_value_returns_the_last_value_of_a_key(word):
    assert words.last_value(["resume=y", "seed=1", word], "resume") == "x"
    assert words.without_key(["seed=1", word], "resume") == ["seed=1"]


def test_last_value_is_none_for_other_keys():
    assert words.last_value(["resumed=y", "x.resume=1"], "resume") is None


@pytest.mark.parametrize("text", ["plain", "with space", "it's", "a,b=c", "[x]{y}"])
def test_quoted_words_are_read_back_by_limner_and_by_hydra(text):
    word = f"resume={words.quoted(text)}"
    assert words.last_value([word], "resume") == text
    assert OverridesParser.create().parse_overrides([word])[0].value() == text


@pytest.mark.parametrize("flag", ["--help", "--cfg", "--cfg=job", "-c", "--info"])
def test_only_shows_recognises_flags_that_run_nothing(flag):
    assert words.only_shows(["model=gan", flag])
    assert not words.only_shows(["model=gan", "-m"])


@pytest.mark.parametrize("word", ["-m", "--multirun", "hydra.mode=MULTIRUN"])
def test_is_sweep_recognises_sweeps(word):
    assert words.is_sweep(["a=1", word])
    assert not words.is_sweep(["a=1"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1 -m b=2", "-m a=1 b=2"),
        ("a=1 --cfg job b=2", "--cfg job a=1 b=2"),
        ("a=1 -c job b=2 --config-dir=mine", "-c job --config-dir mine a=1 b=2"),
        ("a=1 --info b=2", "--info a=1 b=2"),
        ("a=1 --info defaults b=2", "--info defaults a=1 b=2"),
        ("-sc install=bash", "-sc install=bash"),
    ],
)
def test_flags_first_accepts_flags_anywhere(line, expected):
    assert words.flags_first(line.split()) == expected.split()


def test_flags_are_all_flags_of_hydra():
    known = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    assert set(known) == set(words.FLAGS)
