"""A logger that fails does not stop training."""

import logging

import lightning.pytorch.loggers as lightning_loggers

from limner.loggers import ToleratedLogger
from support import fakes


def test_failing_logger_is_reported_once_and_tried_again(caplog):
    broken = fakes.BrokenLogger()
    logger = ToleratedLogger(broken, "mine")
    with caplog.at_level(logging.WARNING, logger="limner"):
        for step in range(3):
            assert logger.log_metrics({"a": 1.0}, step=step) is None
        logger.save()
        logger.finalize("success")
        assert logger.experiment is None
    (record,) = caplog.records
    assert "The logger mine failed (ConnectionError: no network)" in record.getMessage()
    assert broken.num_calls == 6
    assert logger.name == "broken"
    assert isinstance(logger, lightning_loggers.Logger)
    assert not hasattr(logger, "log_image")
