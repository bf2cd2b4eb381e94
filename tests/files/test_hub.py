"""Names of data sets of the hub are told from paths, and its errors become short reasons."""

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

from limner.files.hub import is_repository, reason, repository_of


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("owner/name", "owner/name"), ("hf://owner/name.v2", "owner/name.v2"),
        ("hf://datasets/owner/name", "owner/name"), ("datasets/owner/name", "owner/name"),
        ("name", None), ("/owner/name", None), ("./owner/name", None), ("a/b/c", None),
        ("../name", None), ("owner/", None), ("~/name", None), ("there/name", None),
        (f"owner/{'n' * 300}", None), ("", None),
    ],
)  # fmt: skip
def test_repository_is_owner_and_name_unless_such_a_file_exists(tmp_path, monkeypatch, path, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there" / "name").mkdir(parents=True)
    assert is_repository(path) == (name is not None)
    if name is not None:
        assert repository_of(path) == name


def test_reason_names_what_the_user_can_change():
    def answered(kind, status):
        return kind("first line.\nsecond", response=_response(status))

    assert "HF_HUB_OFFLINE=1" in reason(OfflineModeIsEnabled("offline"))
    wrapped = ValueError("no file")
    wrapped.__cause__ = OfflineModeIsEnabled("offline")
    assert "HF_HUB_OFFLINE=1" in reason(wrapped)
    assert "(401)" in reason(answered(HfHubHTTPError, 401))
    assert reason(answered(HfHubHTTPError, 500)) == "the hub answered 500: first line"
    assert "on request" in reason(answered(GatedRepoError, 403))
    assert reason(ConnectionError("no route.\nmore")).endswith("cannot be reached (no route)")
    assert reason(ConnectionError()).endswith("(ConnectionError)")


def _response(status):
    return httpx.Response(status, request=httpx.Request("GET", "http://hub"))
