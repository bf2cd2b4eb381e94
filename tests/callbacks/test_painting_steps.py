"""The strip and the GIF of the steps in which DRAW paints."""

import pytest
from PIL import Image

from limner.callbacks.painting_steps import PAUSE, PaintingSteps, _shown
from support.grids import grid_of

QUICK = [
    "metrics=none", "accelerator=cpu", "trainer.max_steps=2", "logger=none", "~callbacks.codes",
    "data.batch_size=8", "callbacks.pictures.num_images=4", "trainer.limit_val_batches=1",
    "callbacks.painting_steps.every_num_updates=1", "callbacks.painting_steps.num_images=5",
]  # fmt: skip
DRAW = ["model=draw", "network.num_steps=3", "network.encoder.hidden_size=8",
        "network.decoder.hidden_size=8", "network.encoder.read_size=3",
        "network.decoder.write_size=3", "trainer.precision=bf16-mixed"]  # fmt: skip


def test_painting_steps_are_written_with_a_row_for_each_sample(run):
    result = run(*DRAW, *QUICK, "model/condition=concat")
    assert result.code == 0, result.err
    folder = result.only_run()
    for name in ("samples/update_00000001", "samples/update_00000002", "final"):
        assert grid_of(folder / f"{name}_steps.png").shape[:2] == (5 * 66 + 2, 3 * 66 + 2)
    with Image.open(folder / "final_steps.gif") as film:
        assert film.size == (3 * 66 + 2, 2 * 66 + 2)
        assert 2 <= film.n_frames <= 3 + PAUSE


def test_painting_steps_skip_models_that_do_not_paint(run):
    result = run("model=vae", "network=mlp", *QUICK)
    assert result.code == 0, result.err
    assert not list(result.only_run().rglob("*steps*"))


def test_painting_steps_show_the_last_of_many_steps():
    assert _shown(3) == [0, 1, 2]
    assert _shown(16) == list(range(16))
    shown = _shown(41)
    assert len(shown) == 16
    assert shown == sorted({*shown})
    assert shown[-1] == 40


@pytest.mark.parametrize("wrong", [{"every_num_updates": 0}, {"num_images": 0}])
def test_painting_steps_refuse_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match="painting_steps: every_num_updates must be 1"):
        PaintingSteps(**{"every_num_updates": 1, "num_images": 1, "seed": 0, **wrong})
