import pytest
import torch

from limner.data import MovingShapes, Shapes
from limner.errors import UserError
from support.clips import settings

COLOURS = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff"}


def shapes(**changes):
    usual = {
        "num_train": 20, "num_validation": 8, "num_test": 8, "seed": 0,
        "kinds": ["circle", "square", "star"], "colours": COLOURS, "min_size": 0.1,
        "max_size": 0.2, "background": "black",
    }  # fmt: skip
    return Shapes(**usual | changes)


def moving(*, num_shapes=2, min_step=0.05, max_step=0.15, **changes):
    return MovingShapes(
        shapes=shapes(**changes), num_shapes=num_shapes, min_step=min_step, max_step=max_step
    )


def train(source=None, **changes):
    usual = {"image_shape": [3, 24, 24], "num_frames": 6}
    return (source or moving()).open_sequences(settings(**usual | changes)).stores["train"]


def centres(frames):
    """Return the centre of mass (B, T, 2) of what is not black in pixels, x first."""
    mass = frames.float().sum(2)
    height, width = mass.shape[2:]
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    total = mass.sum((2, 3))
    return torch.stack([(mass.sum(2) * x).sum(2) / total, (mass.sum(3) * y).sum(2) / total], 2)


def test_sequence_is_a_function_of_seed_and_number():
    store = train()
    frames = store.gather(torch.arange(20))
    assert frames.shape == (20, 6, 3, 24, 24)
    assert frames.dtype == torch.uint8
    assert torch.equal(store.gather(torch.tensor([7, 3])), frames[[7, 3]])
    assert len({each.numpy().tobytes() for each in frames}) == 20
    other = train(moving(seed=1))
    assert not torch.equal(other.gather(torch.arange(20)), frames)
    assert other.fingerprint != store.fingerprint == train().fingerprint


def test_whole_shape_is_in_every_frame_and_keeps_its_area():
    frames = train(moving(num_shapes=1, kinds=["circle"], colours={"w": "white"})).gather(
        torch.arange(20)
    )
    area = frames[:, :, 0].float().sum((2, 3))
    assert ((area / area[:, :1] - 1).abs() < 0.03).all()


def test_shape_moves_by_equal_steps_between_bounces():
    frames = train(
        moving(num_shapes=1, kinds=["circle"], min_step=0.03, max_step=0.03), num_frames=8
    ).gather(torch.arange(20))
    steps = centres(frames).diff(dim=1)
    same = (steps[:, 1:] - steps[:, :-1]).norm(dim=2) < 0.05
    assert same.float().mean() > 0.6
    assert (steps.norm(dim=2) < 0.03 * 24).all()
    assert steps.norm(dim=2).mean() > 0.3


def test_later_shape_hides_an_earlier_shape():
    frames = train(moving(num_shapes=8, min_size=0.3, max_size=0.4, kinds=["circle"])).gather(
        torch.arange(20)
    )
    lit = (frames > 0).sum(2)
    assert (lit == 1).float().sum() > 5 * (lit > 1).sum(), "colours mix at edges only"


def test_grey_frames_show_the_luma_of_the_colours():
    source = moving(background="white")
    colour, grey = train(source), train(source, image_shape=[1, 24, 24])
    luma = torch.tensor([0.299, 0.587, 0.114])
    due = (colour.gather(torch.arange(9)).float() * luma[:, None, None]).sum(2, keepdim=True)
    assert (grey.gather(torch.arange(9)).float() - due).abs().max() <= 1


def test_shapes_move_in_frames_that_are_hardly_larger():
    frames = train(moving(min_size=0.5, max_size=0.5, kinds=["square"])).gather(torch.arange(9))
    assert frames.flatten(2).float().mean(2).min() > 0


def test_splits_have_other_sequences():
    stores = moving().open_sequences(settings(image_shape=[3, 24, 24])).stores
    firsts = [store.gather(torch.arange(8)) for store in stores.values()]
    assert len({frames.numpy().tobytes() for frames in firsts}) == 3
    assert [len(store) for store in stores.values()] == [20, 8, 8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_shapes": 0}, r"data\.num_shapes=0: must be from 1 to 16"),
        ({"min_step": 0.3}, r"data\.source\.min_step=0\.3 and data\.source\.max_step=0\.15"),
        ({"max_step": 1.5}, r"must be from 0 to 1"),
    ],
)
def test_values_that_make_no_sequence_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        moving(**changes)
