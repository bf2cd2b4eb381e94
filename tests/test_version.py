"""Files of later versions of limner are refused, and files name the version."""

import importlib.metadata

import pytest

import limner
from limner.errors import UserError
from limner.runs.records import write_records
from limner.version import refuse_newer


@pytest.mark.parametrize("version", ["99.0", "1.0rc1", f"{limner.__version__}.post1"])
def test_refuse_newer_refuses_newer_versions(version):
    with pytest.raises(UserError) as error:
        refuse_newer(version, "outputs/run")
    message = str(error.value)
    assert (
        f"outputs/run was made by limner {version}; this is limner {limner.__version__}" in message
    )
    assert "\n" not in message


@pytest.mark.parametrize("version", [limner.__version__, "0.0.1", "0.1.0.dev3", "", None, "?"])
def test_refuse_newer_accepts_same_older_and_unknown_versions(version):
    refuse_newer(version, "outputs/run")


def test_records_name_the_version_of_a_checkout_that_is_not_installed(tmp_path, monkeypatch):
    """On a machine without a network, the folder src may only be in PYTHONPATH."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name == "limner":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    write_records(tmp_path, config="seed: 0\n", device="cpu")
    assert f"limner: {limner.__version__}\n" in (tmp_path / "environment.txt").read_text()
