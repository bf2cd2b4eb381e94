from dataclasses import dataclass, field

import pytest
from omegaconf import MISSING

from limner.config.command_options import parse
from limner.errors import UserError


@dataclass
class Options:
    run: str = MISSING
    num_images: int = 64
    seed: int | None = None
    labels: list[int] = field(default_factory=list)


def test_words_become_typed_values():
    options = parse(["run=outputs/a b", "num_images=3", "labels=[1,2]"], Options)
    assert options == Options(run="outputs/a b", num_images=3, labels=[1, 2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["num_images=3"], "run must be given: run=..."),
        (["run=x", "num_image=3"], "num_image: there is no such key; did you mean num_images?"),
        (["run=x", "num_images=many"], "num_images: Value 'many' of type 'str'"),
        (["run=x", "fast"], "fast: not of the form key=value"),
        (["run=[x"], "run=[x: cannot be read: "),
        (["run=a\x1bb"], r"run=a\x1bb: cannot be read: unacceptable character"),
    ],
)
def test_mistakes_are_named(words, message):
    with pytest.raises(UserError) as error:
        parse(words, Options)
    assert message in str(error.value)
