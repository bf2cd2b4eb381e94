"""A group that was replaced by something other than a mapping is refused by its key."""

import pytest
from omegaconf import open_dict

from limner.config.groups import check_groups
from limner.errors import UserError


@pytest.mark.parametrize("value", [None, 1, "gan", [], {}])
@pytest.mark.parametrize("key", ["trainer", "model", "data", "optimizer", "gradients"])
def test_check_groups_refuses_a_group_without_an_object(composed, key, value):
    config = composed()
    with open_dict(config):
        config[key] = value
    with pytest.raises(UserError, match=rf"^{key}(=| has no _target_)"):
        check_groups(config)


@pytest.mark.parametrize("key", ["logger.csv", "callbacks.progress"])
def test_check_groups_states_how_to_remove_a_logger_or_a_callback(composed, key):
    config = composed()
    group, name = key.split(".")
    with open_dict(config):
        config[group][name] = None
    with pytest.raises(UserError, match=rf"to remove it: ~{key}"):
        check_groups(config)


@pytest.mark.parametrize("override", ["logger=none", "metrics=none", "~callbacks"])
def test_check_groups_accepts_groups_that_are_switched_off(composed, override):
    check_groups(composed(override))


def test_check_groups_names_the_base_that_an_own_data_file_inherits(composed):
    config = composed()
    with open_dict(config):
        config.data = {"name": "shapes", "image_shape": [1, 8, 8]}
    with pytest.raises(
        UserError, match=r"(?s)defaults: \[base/images@_here_, .*data=captioned, celeba, "
    ):
        check_groups(config)
