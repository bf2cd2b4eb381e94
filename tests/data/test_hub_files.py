"""Data sets of a stand-in of the hub are downloaded once, at one commit, and read without it."""

import pytest
from huggingface_hub import constants

from limner.data.hub_files import locate
from limner.errors import UserError
from support.hub import serving

NAME = "owner/set"


@pytest.fixture
def hub(tmp_path):
    with serving(tmp_path / "cache") as hub:
        hub.add("datasets", NAME)
        yield hub


def content(files):
    return {
        path.relative_to(files.path).as_posix(): path.read_bytes()
        for path in files.path.rglob("*") if path.is_file()
    }  # fmt: skip


def test_revision_is_one_commit_with_its_own_fingerprint(hub):
    first = hub.commit("datasets", NAME, "main", {"data/a.parquet": b"1" * 5000})
    before = locate(NAME, None, None)
    assert before.commit == first
    assert content(before) == {"data/a.parquet": b"1" * 5000}
    second = hub.commit("datasets", NAME, "main", {"data/a.parquet": b"2"})
    after = locate(f"hf://{NAME}", None, None)
    assert (after.commit, content(after)) == (second, {"data/a.parquet": b"2"})
    assert after.fingerprint != before.fingerprint
    assert locate(NAME, first, None) == before
    hub.branches["datasets", NAME]["refs/convert/parquet"] = first
    assert locate(NAME, "refs/convert/parquet", None) == before


def test_downloaded_data_set_is_read_without_the_hub(hub, monkeypatch):
    commit = hub.commit("datasets", NAME, "main", {"a.parquet": b"1"})
    found = locate(NAME, None, None)
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate(NAME, None, None) == locate(NAME, commit, None) == found
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE=1 forbids the network,\nand its cache"):
        locate("owner/other", None, None)
    with pytest.raises(UserError, match=r"no copy of this revision"):
        locate(NAME, "0" * 40, None)
    assert hub.requests == []


def test_downloaded_data_set_is_read_when_the_hub_does_not_answer(tmp_path):
    with serving(tmp_path / "cache") as hub:
        hub.add("datasets", NAME)
        hub.commit("datasets", NAME, "main", {"a.parquet": b"1"})
        found = locate(NAME, None, None)
    with serving(tmp_path / "cache"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        assert locate(NAME, None, None) == found
        with pytest.raises(UserError, match=r"cannot be reached .*\n.*no copy") as caught:
            locate("owner/other", None, None)
        assert "data.path=FOLDER" in str(caught.value)


def test_only_the_files_of_a_subset_are_downloaded(hub):
    card = (
        "---\nconfigs:\n"
        "- config_name: small\n  default: true\n  data_files: small/*.parquet\n"
        "- config_name: large\n  data_files:\n  - split: train\n    path: [large/1-*]\n---\n"
    )
    files = {"README.md": card.encode(), "small/a.parquet": b"s", "large/1-a.parquet": b"l"}
    hub.commit("datasets", NAME, "main", files)
    assert content(locate(NAME, None, "large")).keys() == {"README.md", "large/1-a.parquet"}
    assert content(locate(NAME, None, None)).keys() == files.keys()
    assert not any("/small/" in request for request in _requests_of_large(hub))


def _requests_of_large(hub):
    """Return the requests until the second description of the data set."""
    described = [i for i, each in enumerate(hub.requests) if each == f"GET /api/datasets/{NAME}"]
    return hub.requests[: described[1]]


def test_code_of_a_data_set_is_refused_before_its_files_are_downloaded(hub):
    hub.commit("datasets", NAME, "main", {"set.py": b"raise", "a.parquet": b"1"})
    with pytest.raises(UserError, match=r"set\.py, which limner never runs") as caught:
        locate(NAME, None, None)
    assert "data.revision=refs/convert/parquet" in str(caught.value)
    assert not any("resolve" in request for request in hub.requests)


def test_data_set_that_cannot_be_read_is_explained(hub):
    hub.add("datasets", "owner/gated")
    hub.gated.add("owner/gated")
    for name, revision, message in (
        ("owner/other", None, "the hub has no such data set, or it is private"),
        ("owner/gated", None, f"{hub.url}/datasets/owner/gated, and log in: hf auth login"),
        (NAME, "v9", "data.revision=v9: owner/set has no such branch, tag or commit."),
        ("owner/two..dots", None, "data.path=owner/two..dots: "),
    ):
        with pytest.raises(UserError) as caught:
            locate(name, revision, None)
        assert message in str(caught.value)
        assert str(caught.value).count("\n") < 3
