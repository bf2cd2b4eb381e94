import pytest
import torch

from limner.augmentations.degradations import (
    JPEG,
    Copy,
    Degradations,
    Degraded,
    Downscale,
    GaussianBlur,
    GaussianNoise,
    Holes,
    LowLight,
    Resize,
)
from limner.augmentations.degradations.protocols import Degradation
from limner.interfaces import missing_members
from limner.randomness import Noise
from support.draws import OwnDraws, pictures

HOLES = Holes(
    num_boxes=[0, 3], box_size=[0.1, 0.3], num_strokes=[1, 4], stroke_length=[0.3, 1.0],
    stroke_width=[0.02, 0.1],
)  # fmt: skip
PARTS = {
    "copy": Copy(),
    "noise": GaussianNoise(sigma=[0, 55]),
    "blur": GaussianBlur(sigma=[0, 3]),
    "low_light": LowLight(gamma=[1.5, 3], exposure=[0.3, 0.8], sigma=[0, 10]),
    "jpeg": JPEG(quality=[5, 95]),
    "downscale": Downscale(ratio=2.5, kernel="cubic", antialias=True),
    "resize": Resize(factor=3, kernel="cubic", antialias=True, quantise=False),
    "holes": HOLES,
}
ALL = PARTS | {"all": Degradations(parts=PARTS)}
each = pytest.mark.parametrize("part", ALL.values(), ids=ALL)


class Adds:
    """A part without the attributes that may be left out."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __call__(self, images, *, draws):
        return Degraded(images + self.number, None)

    def protocol(self):
        return {"adds": self.number}


class Doubles(Adds):
    def __call__(self, images, *, draws):
        return Degraded(images * self.number, None)


@each
def test_degradation_is_a_degradation(part):
    assert missing_members(part, Degradation) == []


@each
def test_degradation_of_an_image_does_not_depend_on_the_rest_of_the_batch(part):
    images = pictures(5)
    whole = part(images, draws=OwnDraws())
    for rows in (range(2), range(2, 5)):
        some = part(images[rows.start : rows.stop], draws=OwnDraws(rows=rows))
        kept = slice(rows.start, rows.stop)
        assert torch.allclose(some.input, whole.input[kept], atol=1e-5)
        assert some.mask is None or torch.equal(some.mask, whole.mask[kept])


@each
def test_degradation_with_equal_numbers_gives_equal_results_and_keeps_its_images(part):
    images = pictures()
    before, noise = images.clone(), Noise()
    results = []
    for _ in range(2):
        noise.start(7, rank=0, world_size=1)
        results.append(part(images, draws=noise))
    assert torch.equal(results[0].input, results[1].input)
    assert torch.equal(images, before)


@each
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (24, 24), (33, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_degradation_takes_pictures_of_any_size(part, height, width, channels):
    images = pictures(2, channels=channels, height=height, width=width)
    found = part(images, draws=OwnDraws())
    size = -(-height // part.factor), -(-width // part.factor)
    assert found.input.shape == (2, channels, *size)
    assert found.input.dtype == images.dtype
    assert torch.isfinite(found.input).all()
    assert (found.mask is not None) == part.adds_mask
    assert found.mask is None or found.mask.shape == (2, 1, *size)


@each
def test_degradation_states_its_protocol_as_plain_data(part):
    def is_plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(is_plain, value))
        return isinstance(value, str | int | float | bool)

    assert part.protocol()
    assert is_plain(part.protocol())


def test_degradations_apply_their_parts_in_order():
    images = torch.tensor([0.5]).view(1, 1, 1, 1)
    first = Degradations(parts={"a": Adds(1.0), "d": Doubles(2.0)})
    second = Degradations(parts={"d": Doubles(2.0), "a": Adds(1.0)})
    assert first(images, draws=OwnDraws()).input.item() == 3
    assert second(images, draws=OwnDraws()).input.item() == 2
    assert list(first.protocol()) == ["a", "d"]
    assert first.protocol()["d"] == {"adds": 2.0}


def test_degradations_give_each_part_its_own_numbers():
    noise = GaussianNoise(sigma=10)
    images, draws = pictures(1), OwnDraws()
    once = Degradations(parts={"a": noise})(images, draws=OwnDraws()).input - images
    twice = Degradations(parts={"a": noise, "b": noise})(images, draws=draws).input - images
    assert twice.std().item() == pytest.approx(once.std().item() * 2**0.5, rel=0.1)


def test_degradations_without_parts_change_nothing():
    nothing, images = Degradations(parts={}), pictures()
    assert (nothing.factor, nothing.adds_mask) == (1, False)
    assert torch.equal(nothing(images, draws=OwnDraws()).input, images)


def test_degradations_multiply_factors():
    halve = Resize(factor=2, kernel="cubic", antialias=True, quantise=False)
    parts = {"a": halve, "noise": PARTS["noise"], "b": PARTS["resize"], "own": Adds(0.0)}
    assert Degradations(parts=parts).factor == 6


@pytest.mark.parametrize("later", ["noise", "resize"])
def test_degradations_refuse_a_part_after_a_mask(later):
    with pytest.raises(ValueError, match=rf"data/degradation=\[blur,{later},holes\]"):
        Degradations(parts={"blur": PARTS["blur"], "holes": HOLES, later: PARTS[later]})
