from limner.errors import UserError
from limner.files.printable import printable


def test_printable_escapes_controls_and_direction_overrides_and_keeps_words():
    assert printable("a\x1b[31mb\nc\x7f\x9b") == r"a\x1b[31mb\x0ac\x7f\x9b"
    assert printable("gpj.\u202etxt") == r"gpj.\u202etxt"
    assert printable("\ud800\u2028") == r"\ud800\u2028"
    assert printable("Grüße, 日本 ±") == "Grüße, 日本 ±"
    assert printable(3.5) == "3.5"


def test_user_error_escapes_all_but_line_feeds():
    assert str(UserError("first\nsecond \x1b]0;title\x07")) == "first\nsecond \\x1b]0;title\\x07"
