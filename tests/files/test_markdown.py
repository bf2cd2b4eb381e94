"""Texts from untrusted files as Markdown."""

import pytest

from limner.files.markdown import code, fenced, plain


def test_plain_escapes_markup_and_leaves_words():
    for words in ("two words", "super_resolution", "shapes_2-b"):
        assert plain(words) == words
    for marked in ("_a_", "a __b__ c", "a_"):
        assert "_" not in plain(marked).replace(r"\_", "")
    assert plain("[a](b)|<i>") == r"\[a\]\(b\)\|\<i\>"


def test_code_uses_a_span_unless_the_text_could_end_it():
    assert code("model/loss=hinge") == "`model/loss=hinge`"
    assert code("a`b") == r"a\`b"


@pytest.mark.parametrize("text", ["a", "```\n<script>", "`````"])
def test_fenced_uses_a_fence_longer_than_any_in_the_text(text):
    first, *lines, last = fenced(text, "yaml").split("\n")
    assert first == f"{last}yaml"
    assert set(last) == {"`"}
    assert last not in text
    assert "\n".join(lines) == text
