import os
import threading

import pytest

from limner.files.plain import NotPlainError, read_json, read_text, read_yaml


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: &x [1]\nb: [*x]", "aliases"),
        (b"a: !!python/object:os.system {}", "not plain YAML"),
        (b"[" * 3000, "not plain YAML"),
        (b"a: \xff", "UTF-8"),
        (b"a: 1\n" + b"#" * 1_000_000, "too large"),
    ],
)
def test_read_yaml_refuses_everything_but_plain_data(tmp_path, content, reason):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NotPlainError, match=reason):
        read_yaml(path)


def test_read_json_refuses_deep_nesting(tmp_path):
    path = tmp_path / "file"
    path.write_text("[" * 100_000)
    with pytest.raises(NotPlainError, match="not plain JSON"):
        read_json(path)


def test_read_text_does_not_wait_for_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    done = []

    def read() -> None:
        with pytest.raises(NotPlainError, match="no regular file"):
            read_text(path)
        done.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert done


def test_read_text_states_the_reason_when_a_path_holds_a_nul():
    with pytest.raises(NotPlainError, match="cannot be read"):
        read_text("a\0b")
