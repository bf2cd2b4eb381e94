"""Warnings of a CycleGAN whose generators do nothing."""

from types import SimpleNamespace

import pytest

from limner.callbacks.copy_warning import CopyWarning
from limner.callbacks.measured import Measured


def warnings_of(caplog, *validations, first_update=10):
    """Return the directions of the warnings after validations (update, values by name)."""
    warning, measured = CopyWarning(min_change=2.0, first_update=first_update), Measured()
    trainer = SimpleNamespace(callbacks=[measured], state=SimpleNamespace(fn="fit"))
    caplog.clear()
    for update, values in validations:
        trainer.global_step = update
        measured.add(trainer, {f"val/{name}": value for name, value in values.items()})
        warning.on_validation_end(trainer, None)
    return [record.args[0] for record in caplog.records]


def test_copy_warning_names_the_direction_whose_pictures_hardly_change(caplog):
    values = {"change_ab": 1.2, "change_ba": 30.0}
    assert warnings_of(caplog, (20, values)) == ["ab"]
    assert "they change by 1.2 of 255 levels" in caplog.text
    assert "model.identity_weight=0" in caplog.text


def test_copy_warning_comes_again_only_after_a_recovery(caplog):
    low, high = {"change_ba": 0.5}, {"change_ba": 9.0}
    assert warnings_of(caplog, (20, low), (30, low)) == ["ba"]
    assert warnings_of(caplog, (20, low), (30, high), (40, low)) == ["ba", "ba"]


def test_copy_warning_waits_for_its_first_update_and_ignores_other_models(caplog):
    assert warnings_of(caplog, (9, {"change_ab": 0.0})) == []
    assert warnings_of(caplog, (20, {"loss": 0.0})) == []


def test_copy_warning_refuses_a_negative_limit():
    with pytest.raises(ValueError, match=r"callbacks\.copies\.min_change=-1\.0: must be 0"):
        CopyWarning(min_change=-1.0, first_update=0)
