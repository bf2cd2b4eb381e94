import dataclasses
from dataclasses import dataclass, field

import pytest
from omegaconf import MISSING

from limner.config.command_options import form, meaning, option, parse
from limner.errors import UserError


@dataclass
class Options:
    run: str = MISSING
    num_images: int = 64
    seed: int | None = None
    labels: list[int] = field(default_factory=list)


def test_options_have_typed_values():
    options = parse(["run=outputs/a b", "num_images=3", "labels=[1,2]"], Options)
    assert options == Options(run="outputs/a b", num_images=3, labels=[1, 2])


@pytest.mark.parametrize(
    "text",
    ["a,b", "[x", "[a]", "it's", "a=b", "{a}", "#1", "2024", "a (1)", "true", " a", "${a}", "ä ö"],
)
def test_options_keep_text_as_typed(text):
    assert parse([f"run={text}"], Options).run == text


@pytest.mark.parametrize("word", ["run=~/a", "run='~/a'"])
def test_options_replace_a_tilde_by_home(monkeypatch, word):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse([word], Options).run == "/home/me/a"


def test_options_drop_quotes_around_the_whole_text():
    assert parse(["run='null'"], Options).run == "null"
    assert parse(["run=x", "seed=null"], Options).seed is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["num_images=3"], "run must be given: run=..."),
        (["run=x", "num_image=3"], "num_image: there is no such key; did you mean num_images?"),
        (["run=x", "num_images=many"], "num_images: Value 'many' of type 'str'"),
        (["run=x", "fast"], "fast: not of the form key=value"),
        (["run=x", "labels=[x"], "labels=[x: cannot be read: "),
        (["run=x", "labels=a\x1bb"], r"labels=a\x1bb: cannot be read: unacceptable character"),
        (["run=x", "labels=1,2"], "labels=1,2: a list is written in brackets: 'labels=[1,2]'"),
        (["run=x", "labels=7"], "labels=7: a list is written in brackets: 'labels=[7]'"),
        (["run:x"], "run:x: not of the form key=value; did you mean run=x?"),
        (["run"], "run: not of the form key=value: run=..."),
        (["tests"], "tests: not of the form key=value; did you mean run=tests?"),
    ],
)
def test_options_name_mistakes(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    with pytest.raises(UserError) as error:
        parse(words, Options)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_option_shows_its_default():
    @dataclass
    class Shown:
        run: str = option(MISSING, "a run", form="RUN")
        names: list[str] = option(("a", "b"), "some names")  # noqa: RUF009
        page: str = option("a.html", "a page", form="FILE")
        fast: bool = option(False, "whether")
        label: int | None = option(None, "a class")

    fields = dataclasses.fields(Shown)
    assert [form(field) for field in fields] == [
        "run=RUN", "names=[a,b]", "page=FILE", "fast=false", "label=null"
    ]  # fmt: skip
    assert meaning(fields[0]) == "a run (must be given)"
    assert meaning(fields[2]) == "a page (default: a.html)"
    assert parse(["run=x"], Shown).names == ["a", "b"]
