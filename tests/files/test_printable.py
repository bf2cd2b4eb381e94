import pytest

from limner.errors import UserError
from limner.files.printable import counted, printable


def test_printable_escapes_controls_and_direction_overrides_and_keeps_words():
    assert printable("a\x1b[31mb\nc\x7f\x9b") == r"a\x1b[31mb\x0ac\x7f\x9b"
    assert printable("gpj.\u202etxt") == r"gpj.\u202etxt"
    assert printable("\ud800\u2028") == r"\ud800\u2028"
    assert printable("Grüße, 日本 ±") == "Grüße, 日本 ±"
    assert printable(3.5) == "3.5"


def test_user_error_escapes_all_but_line_feeds():
    assert str(UserError("first\nsecond \x1b]0;title\x07")) == "first\nsecond \\x1b]0;title\\x07"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 images"), (1, "1 image"), (1200, "1,200 images"), (0.5, "0.5 images"),
     (1.0, "1 image"), (1.00001, "1 images")],
)  # fmt: skip
def test_counted_has_a_plural_unless_the_number_is_one(number, text):
    assert counted(number, "image") == text
