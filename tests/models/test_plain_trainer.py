"""limner's models in a plain Lightning Trainer, as users of Lightning have it."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from limner.config.build import build
from limner.models.adversarial_checks import validation_losses
from limner.models.conditions import given_labels

SMALL = {
    "gan": ["network=mlp", "network.generator.hidden_dims=[16]",
            "network.discriminator.hidden_dims=[16]"],
    "vae": ["network=mlp", "network.encoder.hidden_dims=[16]", "network.decoder.hidden_dims=[16]"],
    "vaegan": ["network.encoder.width=8", "network.generator.width=8",
               "network.discriminator.width=8"],
    "vqvae": ["network.encoder.width=8", "network.encoder.max_width=8", "network.decoder.width=8",
              "network.decoder.max_width=8"],
    "classifier": ["network=mlp", "network.classifier.hidden_dims=[16]"],
    "pixelcnn": ["network.pixelcnn.width=8", "network.pixelcnn.num_layers=1"],
}  # fmt: skip
LOSSES = {
    "gan": {"loss_generator", "loss_discriminator"},
    "vae": {"loss", "kl", "reconstruction"},
    "vaegan": {"kl", "reconstruction"},
    "vqvae": {"loss", "reconstruction"},
    "classifier": {"loss", "accuracy"},
    "pixelcnn": {"loss"},
}


@pytest.fixture
def parts(composed):
    """Return a small model and the digits."""

    def make(model, *words):
        config = composed(f"model={model}", *SMALL[model], "data.batch_size=300", *words)
        return build(config, "model"), build(config, "data")

    return make


def trainer(folder, *, max_epochs=2, **more):
    """Return a plain Trainer that prints nothing."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    saves = {"enable_checkpointing": False, "logger": False}
    return L.Trainer(**quiet | saves | more, max_epochs=max_epochs, default_root_dir=folder)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=[pytest.mark.slow] * (model not in ("gan", "vae")))
        for model in sorted(LOSSES)
    ],
)
def test_plain_trainer_fits_validates_and_tests_each_model(parts, tmp_path, model):
    module, data = parts(model)
    plain = trainer(tmp_path)
    plain.fit(module, data)
    assert plain.global_step == 2 * len(data.train_dataloader())
    assert any(name.startswith("train/") for name in plain.callback_metrics)
    (validated,) = plain.validate(module, data, verbose=False)
    assert {f"val/{name}" for name in LOSSES[model]} <= validated.keys()
    (tested,) = plain.test(module, data, verbose=False)
    assert tested.keys() == {name.replace("val/", "test/") for name in validated}
    assert all(torch.isfinite(torch.tensor(value)) for value in (validated | tested).values())


def test_lightnings_callbacks_and_loggers_read_the_train_losses(parts, tmp_path):
    module, data = parts("gan")
    best = ModelCheckpoint(tmp_path, monitor="train/loss_generator", filename="best")
    stopping = EarlyStopping("train/loss_discriminator", min_delta=1e9, patience=1)
    plain = trainer(
        tmp_path, max_epochs=5, callbacks=[best, stopping], enable_checkpointing=True,
        logger=CSVLogger(tmp_path), log_every_n_steps=1,
    )  # fmt: skip
    plain.fit(module, data)
    assert plain.current_epoch == 2  # The first value sets the best; the second is no better.
    assert best.best_model_score is not None
    assert (tmp_path / "best.ckpt").exists()
    assert "train/loss_generator" in next(tmp_path.rglob("metrics.csv")).read_text()


def test_plain_trainer_takes_loaders_of_dicts(parts, tmp_path):
    module, _ = parts("vae")
    rows = [{"image": torch.rand(1, 8, 8), "label": torch.tensor(0)} for _ in range(8)]
    plain = trainer(tmp_path)
    plain.fit(module, torch.utils.data.DataLoader(rows, batch_size=4))
    assert plain.global_step == 4


def test_train_losses_are_in_the_callback_metrics_of_a_run_and_stay_on_the_device(
    run, monkeypatch
):
    seen, reads = [], []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        seen.append(trainer.callback_metrics["train/loss_generator"])

    class Watched(L.Callback):
        pass

    Watched.on_train_batch_end = on_train_batch_end
    from limner.training import trainer as made

    original = made._our_callbacks
    monkeypatch.setattr(made, "_our_callbacks", lambda *of: [*original(*of), Watched()])
    for name in ("item", "tolist", "__float__", "__bool__"):
        reading = getattr(torch.Tensor, name)

        def counted(self, reading=reading):
            reads.append(self)
            return reading(self)

        monkeypatch.setattr(torch.Tensor, name, counted)
    result = run(
        "model=gan", *SMALL["gan"], "metrics=none", "logger=none", "trainer.max_steps=4",
        "accelerator=cpu", "callbacks.log.every_num_updates=1000", "~callbacks.pictures",
        "~callbacks.codes",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(seen) == 4
    assert all(isinstance(value, torch.Tensor) and not value.requires_grad for value in seen)
    losses = {value.data_ptr() for value in seen[:-1]}  # The values of the last update are logged.
    assert losses.isdisjoint(value.data_ptr() for value in reads)


def test_run_does_not_validate_a_gan(run):
    result = run(
        "model=gan", *SMALL["gan"], "metrics=none", "logger=csv", "trainer.max_steps=2",
        "accelerator=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "val/" not in (result.only_run() / "metrics.csv").read_text()


@pytest.mark.parametrize("condition", ["none", "projection", "auxiliary"])
def test_validation_losses_equal_training_losses_without_penalties(parts, condition):
    words = ["model/loss=hinge", f"model/condition={condition}", "network.generator_condition="]
    words[-1] += "none" if condition == "none" else "concat"
    module, _ = parts("gan", *words)
    batch = {"image": torch.rand(6, 1, 8, 8) * 2 - 1, "label": torch.arange(6)}
    torch.manual_seed(1)
    found = validation_losses(module.eval(), batch)
    torch.manual_seed(1)
    inputs, _ = module.objective.draw_inputs(
        batch["image"], given_labels(module, batch), module.noise, num_steps=1,
        num_normal=module.num_normal,
    )  # fmt: skip
    expected = (
        module.objective.discriminator_losses(inputs, 0, update=0).means
        | module.objective.generator_losses(inputs).means
    )
    torch.testing.assert_close(found, expected)
