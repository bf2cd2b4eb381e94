import pytest
import torch

from limner.data.picture_store import CentreCrops
from limner.data.shape_styles import ShapeStyle, ShapeStyles
from limner.data.shapes import Shapes
from limner.errors import UserError

FILLED = {"ground": "white", "brightness": 1.0, "outline": 0.0}
OUTLINED = {"ground": "black", "brightness": 0.5, "outline": 0.1}


def opened(num_channels=3, *, size=40, seed=0, a=FILLED, b=OUTLINED, kinds=("square", "circle")):
    shapes = Shapes(
        num_train=6, num_validation=4, num_test=0, seed=seed, kinds=kinds,
        colours={"red": "#c80000", "blue": "#0000c8"}, min_size=0.3, max_size=0.4,
        background="white",
    )  # fmt: skip
    styles = ShapeStyles(shapes=shapes, size=size, a=ShapeStyle(**a), b=ShapeStyle(**b))
    return styles.open_domains(num_channels)


def drawn(store):
    """Return which pixels are not ground, (N, H, W)."""
    images = torch.stack([store.picture(i) for i in range(len(store))]).int()
    ground = images[:, :, :1, :1]
    return (images - ground).abs().amax(1) > 50


def differences(a, b):
    """Return the share of pixels that belong to one of two shapes only."""
    return (a != b).double().mean().item()


def test_domains_show_the_same_shapes_in_validation_and_others_in_training():
    stores = opened()
    assert stores["a"].keys() == {"train", "validation"}
    assert stores["a"]["validation"].names == stores["b"]["validation"].names
    held, train = (
        [drawn(stores[letter][split]) for letter in "ab"] for split in ("validation", "train")
    )
    assert all(differences(*pair) < 0.05 for pair in zip(*held, strict=True)), "smooth borders"
    assert all(differences(a, b) > 0.05 for a in train[0] for b in train[1])


def test_style_sets_ground_inside_and_outline():
    store = opened(kinds=("circle",))["b"]["validation"]
    for i in range(len(store)):
        picture = store.picture(i)
        assert (picture[:, 0, 0] == 0).all()
        values = picture.amax(0)
        assert set(values.unique().tolist()) >= {0, 100, 200}
        inside, outline = values == 100, values == 200
        radius = ((inside | outline).sum() / torch.pi) ** 0.5
        inner = (inside.sum() / torch.pi) ** 0.5
        assert abs(radius - inner - 4) < 1, "the outline is 0.1 of 40 pixels wide"
    filled = opened(kinds=("circle",))["a"]["validation"].picture(0)
    assert (filled[:, 0, 0] == 255).all()


def test_grey_pictures_have_the_luma_of_colour_pictures():
    grey, colour = (opened(channels)["b"]["validation"].picture(0).float() for channels in (1, 3))
    luma = (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    assert grey.shape == (1, 40, 40)
    assert (grey[0] - luma).abs().max() <= 1


def test_gather_cuts_crops_of_the_pictures():
    store = opened()["b"]["train"]
    indices, boxes = torch.tensor([3, 1]), torch.tensor([[2, 5], [0, 20]])
    crops = store.gather(indices, boxes, size=(8, 16))
    assert torch.equal(crops[0], store.picture(3)[:, 2:10, 5:21])
    assert torch.equal(crops[1], store.picture(1)[:, 0:8, 20:36])
    whole = store.gather(indices, torch.zeros(2, 2).long(), size=(40, 40))
    assert torch.equal(whole[1], store.picture(1))
    centre = CentreCrops(store, 20).gather(indices)
    assert torch.equal(centre[0], store.picture(3)[:, 10:30, 10:30])


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"b": OUTLINED | {"outline": 0.2}}, {"size": 41}, {"a": OUTLINED}]
)
def test_fingerprint_changes_with_the_pictures(changes):
    before, after = opened(), opened(**changes)
    same = [
        before[letter]["train"].fingerprint == after[letter]["train"].fingerprint
        for letter in "ab"
    ]
    assert not all(same)
    assert opened()["a"]["train"].fingerprint == before["a"]["train"].fingerprint


@pytest.mark.parametrize("wrong", [{"brightness": 1.5}, {"outline": -0.1}, {"ground": "whit"}])
def test_style_refuses_other_values(wrong):
    with pytest.raises(UserError, match=r"style in data\.source"):
        ShapeStyle(**FILLED | wrong)
