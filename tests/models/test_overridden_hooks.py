"""limner's loop calls each hook that somebody overrides as Lightning's loop does."""

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from limner.models.lightning_internals import FitLoop
from limner.models.lightning_internals.reporting import backward

HOOKS = [
    "on_train_batch_start", "on_before_backward", "on_after_backward", "on_train_batch_end",
    "on_train_epoch_start", "on_train_epoch_end",
]  # fmt: skip
MODEL_HOOKS = [
    *HOOKS, "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer",
]  # fmt: skip


class Model(L.LightningModule):
    """A linear model with manual optimization."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.line, self.seen = nn.Linear(2, 1), []

    def configure_optimizers(self):
        return torch.optim.SGD(self.line.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        self.seen.append((self._current_fx_name, batch_idx))
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = self.line(batch["image"]).square().mean()
        backward(self, loss, list(self.line.parameters()))
        optimizer.step()
        self.log("loss", loss)
        return {"loss": loss}


class WithoutIndex(Model):
    def training_step(self, batch):
        return super().training_step(batch, 0)


class Automatic(Model):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = True

    def training_step(self, batch, batch_idx):
        return self.line(batch["image"]).square().mean()


def watching(base, hooks, calls):
    """Return a subclass whose hooks record their calls."""

    def recorder(hook):
        def record(self, *args, **kwargs):
            numbers = [value for value in args if isinstance(value, int)]
            calls.append((base.__name__, hook, numbers))
            return getattr(base, hook)(self, *args, **kwargs)

        return record

    return type(base.__name__, (base,), {hook: recorder(hook) for hook in hooks})


def fitted(tmp_path, model, callbacks, *, is_ours, **more):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = L.Trainer(
        **quiet, **more, callbacks=callbacks, accelerator="cpu", max_epochs=2,
        enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    if is_ours:
        trainer.fit_loop = FitLoop(trainer)
    rows = [{"image": torch.full((2,), float(i))} for i in range(6)]
    trainer.fit(model, DataLoader(rows, batch_size=2))
    return trainer


@pytest.mark.parametrize(
    ("of_callback", "of_model"),
    [([], []), (HOOKS, []), ([], MODEL_HOOKS), (HOOKS, MODEL_HOOKS)]
    + [([hook], []) for hook in HOOKS]
    + [([], [hook]) for hook in MODEL_HOOKS],
)
def test_overridden_hooks_are_called_as_by_lightning(tmp_path, of_callback, of_model):
    found = []
    for is_ours in (True, False):
        calls = []
        model = watching(Model, of_model, calls)()
        callback = watching(L.Callback, of_callback, calls)()
        trainer = fitted(tmp_path, model, [callback, L.Callback()], is_ours=is_ours)
        found.append((calls, model.seen, trainer.global_step, model.line.weight.tolist(),
                      trainer.callback_metrics))  # fmt: skip
    assert found[0] == found[1]
    assert {name for _, name, _ in found[0][0]} == {*of_callback, *of_model}


@pytest.mark.parametrize("base", [WithoutIndex, Automatic])
def test_other_models_are_left_to_lightning(tmp_path, base):
    weights = []
    for is_ours in (True, False):
        model = base()
        fitted(tmp_path, model, [], is_ours=is_ours)
        weights.append(model.line.weight.tolist())
    assert weights[0] == weights[1] != [[1.0, 1.0]]


def test_epoch_ends_where_the_model_asks_for_it(tmp_path):
    class Stops(Model):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 1 else None

    model = Stops()
    assert fitted(tmp_path, model, [], is_ours=True).global_step == 2


def test_hooks_that_do_nothing_are_not_called(tmp_path, monkeypatch):
    names = [hook for hook in HOOKS if "batch" in hook or "backward" in hook]
    calls = []
    for name in names:
        monkeypatch.setattr(
            L.Callback, name, lambda *args, name=name, **kwargs: calls.append(name)
        )
    fitted(tmp_path, Model(), [L.Callback()], is_ours=True)
    assert calls == []


def test_profiler_sees_every_hook(tmp_path):
    trainer = fitted(tmp_path, Model(), [L.Callback()], is_ours=True, profiler="simple")
    assert any("on_train_batch_end" in name for name in trainer.profiler.recorded_durations)
