from pathlib import Path

import pytest

from limner.errors import UserError
from limner.pretrained.text_facts import check_text_facts

RIGHT = {"vocabulary": "a red circle", "num_tokens": 5, "text_length": 4}


@pytest.mark.parametrize(
    "data",
    [RIGHT, {}, {"vocabulary": None, "num_tokens": None}, RIGHT | {"vocabulary": "hf:owner/name"}],
)
def test_facts_that_belong_together_pass(data):
    check_text_facts(Path("config.yaml"), data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": 3}, "data.vocabulary: a vocabulary is text, not int"),
        ({"vocabulary": ["a"]}, "not list"), ({"vocabulary": "a a b"}, "'a' occurs twice"),
        ({"num_tokens": 6}, "num_tokens=6: data.vocabulary has 5 tokens"),
        ({"num_tokens": 1e9}, "must be a whole number"), ({"num_tokens": None}, "num_tokens=None"),
        ({"num_tokens": True}, "num_tokens=True"), ({"text_length": 0}, "text_length=0"),
        ({"text_length": 10**9}, "from 1 to 1,024"), ({"text_length": "4"}, "text_length=4"),
    ],
)  # fmt: skip
def test_facts_of_a_strange_config_are_refused_with_the_key(changes, message):
    with pytest.raises(UserError, match=f"config.yaml: .*{message}"):
        check_text_facts(Path("config.yaml"), RIGHT | changes)
