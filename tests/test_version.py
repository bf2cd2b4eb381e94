"""Files of later versions of limner are refused."""

import pytest

import limner
from limner.errors import UserError
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
