"""Precisions that a model cannot be trained in."""

from functools import partial

import pytest
import torch

from limner.config.build import build
from limner.errors import UserError
from limner.training import validation
from support.plain import Autoencoder


@pytest.mark.parametrize("precision", ["16", "16-mixed"])
@pytest.mark.parametrize("model", ["vae", "gan", "vaegan", "vqvae", "classifier"])
def test_half_precision_is_refused_for_every_model_that_steps_its_optimizers(
    composed, model, precision
):
    config = composed(f"model={model}", f"trainer.precision={precision}")
    config.data.image_shape, config.data.num_classes = [1, 8, 8], 10
    with pytest.raises(UserError, match="choose bf16-mixed"):
        validation._refuse_half_precision(config, build(config, "model"))


def test_half_precision_is_left_to_lightning_for_a_module_with_automatic_optimization(composed):
    plain = Autoencoder(optimizer=partial(torch.optim.SGD, lr=0.1), noise=0.0)
    validation._refuse_half_precision(composed("trainer.precision=16-mixed"), plain)
