"""Values of text keys arrive as they were typed."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from limner.config.schema import CONFIG_DIR, register
from limner.errors import UsageError
from limner.resume import quoting
from limner.resume.overrides import quoted
from limner.resume.quoting import shown_quoted, with_quotes

FOLDER = ["data=image_folder"]
PATHS = st.text(
    st.sampled_from("ab01 .,=()[]{}#'\"~$%@:;&!?*+-_/éß日語\t"), min_size=1, max_size=20
)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    register()


def arrived(words: list[str], key: str):
    overrides = with_quotes(words)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=overrides, return_hydra_config=True)
    return OmegaConf.select(config, key)


def means_something(text: str) -> bool:
    """Return whether Hydra's grammar, or `~` for the home folder, gives a text a meaning."""
    if "${" in text or text == "null" or any(part[:1] == "~" for part in text.split(",")):
        return True
    return text[0] in "[{'\""


@pytest.mark.parametrize(
    "text",
    [
        "my=photos", "photos (2024)", "photos[1]", "{a}b", "a#1", "#1", "schöne bilder", "it's",
        "a,b", "a, b", "2024", "1e3", "true", "photos(1)", " a", "a ", "日本 語/é", 'say "a"',
        "a:b", "'", "a;b&c!", "(a)", "a\\",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("before", "key"), [(FOLDER, "data.path"), ([], "hydra.run.dir")], ids=["path", "hydra"]
)
def test_with_quotes_passes_text_on_as_typed(before, key, text):
    assert arrived([*before, f"{key}={text}"], key) == text


@pytest.fixture(scope="module")
def folder_config():
    return quoting.composed(FOLDER, FOLDER)


@settings(max_examples=100, deadline=None)
@given(text=PATHS)
@example(text="''00'")
@example(text='"a"\'"')
def test_with_quotes_passes_any_path_on_as_typed(folder_config, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quoting, "composed", lambda *_: folder_config)
        *_, word = with_quotes([*FOLDER, f"data.path={text}"])
    if not means_something(text):
        assert OverridesParser.create().parse_override(word).value() == text


@pytest.mark.parametrize(
    "word",
    [
        "data.path=[a]", "data.path={a: b}", "data.path=${seed}", "data.path=a/${seed}",
        "data.path=choice(a,b)", "data.path='a b'", 'data.path="a"', "data.path=null",
        "data.path=photos", "data.path=/a/b-c.zip", "seed=1", "optimizer.lr=3e-4",
        "optimizer.betas=[0.5,0.9]", "trainer.devices=[0,1]", "trainer.precision=16",
        "model/penalty=[r1,lecam]", "~optimizer.lr", "+a.b=1",
    ],
)  # fmt: skip
def test_with_quotes_keeps_what_hydra_reads(word):
    words = [*FOLDER, word]
    assert with_quotes(words) == words


@pytest.mark.parametrize("word", ["data.path=a,b", "data.path=[a],[b]", "seed=1,2", "data.path=1"])
def test_with_quotes_keeps_the_values_of_a_sweep(word):
    words = ["-m", *FOLDER, word]
    assert with_quotes(words) == words


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (FOLDER, "data.path"), (["data=mnist"], "data.root"), ([], "hydra.run.dir"),
        ([], "resume"), (["model=code_prior"], "model.first_stage"), (["-m"], "hydra.sweep.dir"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["~/a", "'~/a'", "~/a b (1)"])
def test_with_quotes_replaces_a_tilde_by_home(monkeypatch, words, key, value):
    monkeypatch.setenv("HOME", "/home/me")
    (word,) = [w for w in with_quotes([*words, f"{key}={value}"]) if w.startswith(key)]
    read = OverridesParser.create().parse_override(word).value()
    assert read == f"/home/me/{value.strip(chr(39))[2:]}"


def test_with_quotes_replaces_a_tilde_in_each_value_of_a_sweep(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = with_quotes(["-m", *FOLDER, "data.path=~/a,~/b"])
    assert words[-1] == "data.path=/home/me/a,/home/me/b"


def test_with_quotes_changes_nothing_when_applied_again():
    once = with_quotes([*FOLDER, "data.path=it's (1), a=b", "hydra.run.dir=a,b", "resume=7"])
    assert with_quotes(once) == once


def test_with_quotes_knows_the_keys_of_a_resumed_run(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[data=image_folder, data.path=a]")
    words = with_quotes([f"resume={tmp_path}", "data.path=b,c"])
    assert words[-1] == "data.path='b,c'"


@pytest.mark.parametrize(
    ("word", "messages"),
    [
        ("seed=1,2", ["add -m"]),
        ("optimizer.betas=0.5,0.999", ["'optimizer.betas=[0.5,0.999]'", "add -m"]),
        ("optimizer.betas=(0.5,0.999)", ["'optimizer.betas=[0.5,0.999]'"]),
        ("trainer.devices=0,1", ["add -m", "'trainer.devices=[0,1]'"]),
        ("trainer.precision=16,32", ["add -m", "precision=[16,32]'", 'precision="16,32"\'']),
        ("optimizer.lr=a(b)", ["must be a number"]),
        ("debug=a(b)", ["must be true or false"]),
        ("+trainer.plugins=a (b)", ["'+trainer.plugins=\"a (b)\"'"]),
    ],
)
def test_with_quotes_states_how_to_write_a_value_that_it_cannot_pass_on(word, messages):
    with pytest.raises(UsageError) as error:
        with_quotes([word])
    for message in messages:
        assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 4


def test_with_quotes_states_how_to_write_values_of_a_sweep():
    with pytest.raises(UsageError) as error:
        with_quotes(["-m", *FOLDER, "data.path=a (1),it's"])
    (word,) = shlex.split(str(error.value).splitlines()[-1])
    assert list(OverridesParser.create().parse_override(word).sweep_string_iterator()) == [
        "'a (1)'", "'it\\'s'",
    ]  # fmt: skip


def test_advice_omits_m_when_m_was_not_typed():
    with pytest.raises(UsageError) as error:
        with_quotes(["seed=1,2"], may_sweep=False)
    assert "-m" not in str(error.value)


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20))
def test_shown_quoted_is_read_back_by_a_shell_and_by_hydra(text):
    (word,) = shlex.split(shown_quoted("a.b", text))
    assert OverridesParser.create().parse_override(word).value() == text


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=20))
def test_quoted_is_read_back_by_hydra(text):
    assert OverridesParser.create().parse_override(f"a={quoted(text)}").value() == text


def test_with_quotes_does_not_import_torch_for_ordinary_words():
    code = (
        "import sys; from limner.config.schema import register; register();"
        "from limner.resume.quoting import with_quotes;"
        "with_quotes(['model=gan','seed=1','optimizer.lr=3e-4','trainer.max_epochs=5',"
        "'hydra.run.dir=a (1)','data=image_folder','data.path=~/b (2)']);"
        "sys.exit('torch' in sys.modules)"
    )
    where = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=where, check=False).returncode == 0
