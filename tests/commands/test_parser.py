"""Help, flags and names of the commands."""

import dataclasses
import subprocess
import sys

import pytest

from limner import cli
from limner.commands import options, parser
from limner.commands.sample import MODES
from limner.errors import UsageError
from limner.version import __version__


@pytest.fixture
def limner(monkeypatch, capsys):
    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["limner", *words])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return command


@pytest.mark.parametrize("name", parser.COMMANDS)
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["run=a", "-h", "seed=1"]])
def test_help_of_a_command_shows_every_key_and_an_example_at_80_columns(limner, name, words):
    code, out, err = limner(name, *words)
    assert (code, err) == (0, "")
    for keys in parser.COMMANDS[name].options:
        for field in dataclasses.fields(keys):
            assert f"\n  {field.name}=" in out
            assert field.metadata["meaning"].split()[0] in out
    assert f"limner {name} " in out.partition("example")[2]
    assert max(map(len, out.splitlines())) <= 80


def test_help_of_limner_lists_the_commands(limner):
    for words in [[], ["--help"], ["-h"]]:
        code, out, _ = limner(*words)
        assert code == 0
        for name in ("train", *parser.COMMANDS):
            assert f"\n    {name} " in out
        assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    "words", [[], ["train"], ["train", "model=gan"], *([name] for name in parser.COMMANDS)]
)
def test_version_flag_prints_the_version_of_limner(limner, words):
    assert limner(*words, "--version") == (0, f"limner {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "there is no command trian; did you mean train?"),
        (["Sample"], "did you mean sample?"),
        (["--evaluate"], "did you mean evaluate?"),
        (["zzz"], "there are: train, evaluate, sample, transform, export"),
        (["model=gan"], "did you mean limner train model=gan?"),
        (["evaluate", "--run", "a"], "--run: there is no such flag; keys have no dashes: run=a"),
        (["sample", "--num-images=9"], "keys have no dashes: num_images=9"),
        (["export", "-x"], "-x: there is no such flag; there are: --help, --version"),
        (["search", "--study=a"], "keys have no dashes: study=a"),
    ],
)
def test_parser_suggests_the_intended_word_when_there_is_a_mistake(limner, words, message):
    code, _, err = limner(*words)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_read_words_passes_on_the_flags_of_a_command():
    words = ["study=a", "--config-dir", "mine", "space=b"]
    assert parser.read_words("search", words) == words
    assert parser.read_words("compare", ["a", "--blind", "b"]) == ["a", "--blind", "b"]
    with pytest.raises(UsageError, match="--blond"):
        parser.read_words("compare", ["--blond", "a"])


@pytest.mark.parametrize("name", parser.OWN_CODE)
@pytest.mark.parametrize(
    "flag", [["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"]]
)
def test_config_dir_makes_the_modules_of_a_folder_importable(
    limner, monkeypatch, tmp_path, name, flag
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "unnamed.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "a.png").touch()
    needed = {"export": ["to=x"], "transform": ["input=a.png", "output=x"]}
    words = ["run=none", *needed.get(name, [])]
    assert parser.read_words(name, [*words, *flag]) == words
    code, _, err = limner(name, words[0], *flag, *words[1:])
    assert code == 1
    assert err.startswith(("limner: none: neither", "limner: run=none: there is no run"))
    assert sys.path[-1] == str(tmp_path / "mine"), "last, so that it hides no other module"
    assert "--config-dir DIR" in limner(name, "--help")[1]


def test_config_dir_must_be_a_folder(limner):
    code, _, err = limner("sample", "run=x", "--config-dir", "absent")
    assert (code, err) == (2, "limner: --config-dir absent: there is no such folder.\n")


def test_help_names_every_mode_of_sample():
    (mode,) = [f for f in dataclasses.fields(options.Sample) if f.name == "mode"]
    assert all(name in mode.metadata["meaning"] for name in MODES)


def test_help_and_completion_do_not_import_torch():
    code = (
        "import sys; from limner import cli;"
        "sys.argv = ['limner', 'evaluate', '--help'];"
        "\ntry: cli.main()\nexcept SystemExit as end: code = end.code"
        "\nsys.exit(bool(code) or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
