"""The weight "auto" of R1 and R2 follows from the data, and is printed at the start."""

import pytest

from limner.losses.gradient_penalty import R1, R2, GradientPenalty
from limner.losses.penalty import Weighted


@pytest.mark.parametrize("function", [R1(approximate=None), R2(approximate=None)])
def test_auto_weight_is_proportional_to_the_pixels_of_a_step(function):
    penalty = Weighted(function=function, weight="auto", every=16)
    with pytest.raises(ValueError, match="weight=auto: call `fit_to` before training"):
        penalty.factor(step=0, update=0)
    penalty.fit_to(num_pixels=32 * 32, num_images=64)
    assert penalty.weight == pytest.approx(2e-4 * 32**2 / 64)
    assert penalty.factor(step=16, update=3) == pytest.approx(16 * penalty.weight)
    assert "weight 0.0032 (auto)" in penalty.about


def test_given_weight_stays():
    penalty = Weighted(function=R1(approximate=None), weight=10.0, every=1)
    penalty.fit_to(num_pixels=64, num_images=4)
    assert penalty.weight == 10.0
    assert not hasattr(penalty, "about")


def test_auto_weight_of_another_penalty_is_refused():
    with pytest.raises(ValueError, match="only R1 and R2 have this formula, and GradientPenalty"):
        Weighted(function=GradientPenalty(), weight="auto", every=1)


def test_run_prints_the_auto_weight(run):
    result = run(
        "model=gan", "network=mlp", "model/penalty=[r1,r2]", "model.penalty.r1.weight=auto",
        "metrics=none", "logger=none", "data.batch_size=8", "trainer.max_steps=2",
        "gradients.accumulate=2", "~callbacks.pictures", "~callbacks.checkpoints",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert f"R1 of weight {2e-4 * 64 / 8:.3g} (auto)" in " ".join(result.out.split())
