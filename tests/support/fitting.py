"""Training of a small model that records its batches."""

import warnings

import lightning as L


def fit(model, data, *, max_steps=4, **options):
    """Train a model for a few updates; return the batches that it saw."""
    with warnings.catch_warnings(action="ignore"):
        trainer = L.Trainer(
            max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            **options,
        )  # fmt: skip
        trainer.fit(model, data)
    return model.seen
