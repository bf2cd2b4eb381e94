"""The training step, validation and predictions of models of video prediction."""

import pytest
import torch

from limner.errors import UserError
from limner.losses.bernoulli import BernoulliLoss
from limner.losses.pixel import Pixel
from limner.networks.simvp import SimVP
from limner.schedules import Linear
from support.pairs import trainer
from support.sequences import (
    NUM_INPUTS,
    NUM_TARGETS,
    Sequences,
    prediction,
    recurrent,
    sequences,
)


def l2():
    return Pixel(weight=1.0, kind="l2", epsilon=1e-3)


def convolutional(**changes):
    torch.manual_seed(0)
    return SimVP(**{
        "image_shape": (1, 12, 12), "num_inputs": NUM_INPUTS, "num_targets": NUM_TARGETS,
        "width": 4, "num_layers": 1, "hidden": 8, "num_blocks": 1, "patch": 2,
    } | changes)  # fmt: skip


def trained(model, *batches, **more):
    """Train an update on each batch; return the values of the last update."""
    fit = trainer(max_steps=len(batches), limit_val_batches=0, **more)
    fit.fit(model, Sequences(batches))
    return {name: float(value) for name, value in fit.callback_metrics.items()}


def weights(model):
    return [weight.detach().clone() for weight in model.network.parameters()]


@pytest.mark.parametrize("network", [recurrent, convolutional])
def test_update_descends_the_mean_loss_of_the_predicted_frames(network):
    frames, model = sequences(), prediction(network(), {"pixel": l2()}, lr=0.5)
    expected = network()
    logits = expected(frames[:, :NUM_INPUTS], NUM_TARGETS)
    targets = frames[:, -logits.shape[1] :]
    loss = (torch.tanh(logits / 2) - targets).square().mean()
    loss.backward()
    values = trained(model, frames)
    torch.testing.assert_close(
        weights(model), [w.detach() - 0.5 * w.grad for w in expected.parameters()]
    )
    assert values["train/loss"] == pytest.approx(float(loss))


def test_accumulation_gives_the_step_of_the_whole_batch_with_scheduled_sampling():
    made = [
        prediction(sampling=lambda update: 0.5, accumulate=number, lr=0.5) for number in (1, 2)
    ]
    for model in made:
        model.noise.start(7, rank=0, world_size=1)
        trained(model, sequences())
    torch.testing.assert_close(weights(made[0]), weights(made[1]))


def test_sequence_that_is_not_finite_is_left_out_with_scheduled_sampling():
    frames = sequences()
    broken = torch.cat([frames, torch.full_like(frames[:1], float("nan"))])
    made = [prediction(sampling=lambda update: 1.0, lr=0.5) for _ in range(2)]
    assert trained(made[0], broken)["train/num_skipped"] == 1
    trained(made[1], frames)
    torch.testing.assert_close(weights(made[0]), weights(made[1]))


def test_scheduled_sampling_follows_its_schedule_and_is_logged():
    model = prediction(sampling=lambda update: 1 - update / 4, lr=0.0)
    values = trained(model, *(sequences(seed=seed) for seed in range(3)))
    assert values["train/true_frames"] == 0.5


def test_full_scheduled_sampling_is_teacher_forcing_and_none_is_feeding_back():
    frames = sequences()
    inputs, truth = frames.split([NUM_INPUTS, NUM_TARGETS], 1)
    network = recurrent()
    forced = network(inputs, NUM_TARGETS, truth, torch.ones(4, NUM_TARGETS - 1, dtype=bool))
    free = network(inputs, NUM_TARGETS)
    for share, logits in ((1.0, forced), (0.0, free)):
        values = trained(prediction(sampling=lambda update, s=share: s, lr=0.0), frames)
        targets = frames[:, -logits.shape[1] :].flatten(0, 1)
        loss = BernoulliLoss(weight=1.0)(logits.flatten(0, 1), targets).mean()
        assert values["train/loss"] == pytest.approx(float(loss), rel=1e-5)


def test_scheduled_sampling_refuses_a_network_without_feedback():
    with pytest.raises(ValueError, match="network=conv_lstm"):
        prediction(convolutional(), sampling=lambda update: 1.0)


def test_validation_scores_predictions_of_the_input_frames_only():
    frames, model = sequences(), prediction(losses={"pixel": l2()})
    (values,) = trainer().validate(model, Sequences([frames], frames), verbose=False)
    predicted = model.transform(frames[:, :NUM_INPUTS])
    expected = (predicted - frames[:, NUM_INPUTS:]).square().mean()
    assert values["val/pixel"] == pytest.approx(float(expected), rel=1e-5)


def test_scheduled_sampling_refuses_what_is_no_probability():
    for name, value in (("start", 1.5), ("end", 1.5)):
        schedule = Linear(**{"start": 1.0, "end": 0.0, "first": 0, "last": 9, name: value})
        with pytest.raises(ValueError, match=rf"scheduled_sampling\.{name}={value}: .*0, 1"):
            prediction(sampling=schedule)


def test_transform_uses_the_average_and_the_last_input_frames_and_any_number_of_steps():
    model, frames = prediction(ema=1e9), sequences(num_frames=6)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.add_(1.0)
    expected = torch.tanh(recurrent().eval()(frames[:, -NUM_INPUTS:], 7) / 2)
    torch.testing.assert_close(model.transform(frames, 7), expected)
    assert model.transform(frames).shape == (4, NUM_TARGETS, 1, 12, 12)


def test_transform_refuses_fewer_frames_than_inputs():
    with pytest.raises(UserError, match="predicts from 3 frames, and the sequence has 2"):
        prediction().transform(sequences()[:, :2])


@pytest.mark.parametrize("change", [{"num_inputs": 0}, {"num_targets": 0}])
def test_video_prediction_refuses_a_number_of_frames_below_one(change):
    model = prediction()
    given = {
        "network": model.network, "losses": model.losses, "num_inputs": 3, "num_targets": 2,
        "scheduled_sampling": None, "optimizer": None, "gradients": model.gradients,
        "ema_half_life": None,
    } | change  # fmt: skip
    with pytest.raises(ValueError, match="must be 1 or more"):
        type(model)(**given)
