import pytest
import torch

from limner.models.style_measures import StyleMeasures
from support.two_processes import on_two

SIZES = [(4, 6), (5, 5), (6, 4), (3, 7)]


def mean_square(a, b):
    return (a - b).square().mean((1, 2, 3))[:, None]


def energy(images):
    return torch.stack([images.square().mean((1, 2, 3)), 3 * images.abs().mean((1, 2, 3))], 1)


def pictures(sizes=SIZES):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, *size, generator=generator) * 2 - 1 for size in sizes]


def measured(targets, change=lambda x: x, weights=None, others=None):
    found = StyleMeasures()
    for i, target in enumerate(targets):
        found.add(
            target, change(target), weight=1.0 if weights is None else weights[i],
            content=mean_square, gram=energy, others={} if others is None else others(target),
        )  # fmt: skip
    values = found.values(mean_square)
    return {name: float(value) for name, value in values.items()}


def test_copy_has_content_0_and_gram_1():
    assert measured(pictures()) == {"content": 0.0, "gram": 1.0}


def test_measures_are_ratios_of_sums_over_all_pictures():
    targets = pictures()
    found = measured(targets, lambda x: 0.5 * x)
    around = [targets[-1], *targets[:-1]]
    common = [
        [
            each[..., : min(a.shape[2], b.shape[2]), : min(a.shape[3], b.shape[3])]
            for each in (a, b)
        ]
        for a, b in zip(targets, around, strict=True)
    ]
    between = sum(mean_square(a, b) for a, b in common)
    assert found["content"] == pytest.approx(
        float(sum(mean_square(0.5 * x, x) for x in targets) / between)
    )
    assert found["gram"] == pytest.approx((0.25 + 0.5) / 2)


def test_single_picture_is_compared_with_its_mirror_image():
    (target,) = pictures(SIZES[:1])
    found = measured([target], lambda x: x.flip(3))
    assert found["content"] == pytest.approx(1.0)


def test_picture_of_weight_0_is_left_out_and_other_losses_are_means():
    targets = pictures()
    others = lambda x: {"pixel": x.mean((1, 2, 3))}  # noqa: E731
    found = measured(targets, lambda x: 0.5 * x, [1.0, 1.0, 1.0, 0.0], others)
    assert found == pytest.approx(measured(targets[:3], lambda x: 0.5 * x, others=others))
    assert found["pixel"] == pytest.approx(float(sum(x.mean() for x in targets[:3]) / 3))


def test_two_processes_sum_over_the_pictures_of_both(tmp_path):
    targets = pictures()
    expected = measured(targets, lambda x: 0.5 * x)
    for found in on_two(
        lambda rank: measured(targets[2 * rank :][:2], lambda x: 0.5 * x), tmp_path
    ):
        assert found["gram"] == pytest.approx(expected["gram"])
        assert found["content"] == pytest.approx(expected["content"], rel=0.2)
