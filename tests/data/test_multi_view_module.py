import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.data import MultiViewDataModule, PictureFolder
from limner.errors import UserError
from support import fakes
from support.degradations import Drawer, Grain, Reader
from support.fitting import fit

SIZES = [(24, 20), (21, 28), (20, 20), (30, 22)]


class Viewer(Reader):
    """Model that reads the mean of the views."""

    def __init__(self) -> None:
        super().__init__(scale=2)
        self.network.reads_views = True

    def _loss(self, stage, batch):
        self.seen[stage].append({key: value.clone() for key, value in batch.items()})
        mean = self.network(batch["input"].mean(1))
        output = torch.nn.functional.interpolate(mean, scale_factor=2)
        return (output - batch["image"]).square().mean()


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four folders with three pictures of equal names and sizes each."""
    for i, size in enumerate(SIZES):
        fakes.images(tmp_path / "pictures" / str(i), 3, size=size)
    return tmp_path / "pictures"


@pytest.fixture
def opened(folder):
    """Return a function that opens the pictures with other values of some arguments."""

    def make(**changes):
        arguments = {
            "name": "multi_view", "source": PictureFolder(path=str(folder), folder=None),
            "views": "shifts", "num_views": 3, "max_shift": [1, 1],
            "num_channels": 3, "crop_size": 8, "crops_per_picture": 2, "scale": 2,
            "degradation": Grain(factor=2), "image_shape": None, "input_shape": None,
            "num_classes": 0, "batch_size": 4, "augmentation": HorizontalFlip(probability=0.5),
            "validation_fraction": 0.25, "test_fraction": 0.0, "split_seed": 0, "seed": 0,
            "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error",
            "background": "white",
        }  # fmt: skip
        data = MultiViewDataModule(**arguments | changes)
        data.open()
        return data

    return make


def test_model_of_views_gets_crops_to_train_on_and_whole_pictures_to_validate_on(opened):
    data = opened()
    assert (data.image_shape, data.input_shape, data.num_views) == ([3, 8, 8], [3, 4, 4], 3)
    data.refuse(Viewer())
    seen = fit(Viewer(), data, max_steps=5)
    assert {tuple(b["image"].shape) for b in seen["train"]} == {(4, 3, 8, 8)}
    assert {tuple(b["input"].shape) for b in seen["train"]} == {(4, 3, 3, 4, 4)}
    store, indices = data.pictures("validation")
    assert [b["index"].item() for b in seen["val"]] == indices.tolist()
    for batch in seen["val"]:
        height, width = (
            (size - 4) // 2 * 2 for size in store.picture(batch["index"].item()).shape[1:]
        )
        assert batch["image"].shape == (1, 3, height, width)
        assert batch["input"].shape == (1, 3, 3, height // 2, width // 2)


def test_whole_pictures_are_the_validation_batches(opened):
    data = opened()
    seen = fit(Viewer(), data, max_steps=5)["val"]
    found = list(data.whole_pictures("validation", device=torch.device("cpu")))
    assert len(found) == len(seen) == 3
    for a, b in zip(found, seen, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_frames_of_one_folder_stay_in_one_split(opened):
    data = opened(views="frames")
    store, chosen = data.pictures("validation")
    _, others = data.pictures("train")
    folders = [{store.names[i].split("/")[0] for i in part.tolist()} for part in (chosen, others)]
    assert folders[0]
    assert not folders[0] & folders[1]
    (batch, *_) = data.whole_pictures("validation")
    assert batch["input"].shape[1] == 3
    assert batch["image"].shape[2:] == store.picture(int(batch["index"])).shape[1:]


def test_folders_of_views_need_equal_sizes_and_give_their_pictures(tmp_path, opened):
    with pytest.raises(UserError, match="All views of a picture must have one size"):
        opened(views="folders")
    for name in ("left", "middle", "right"):
        fakes.images(tmp_path / "rig" / name, 5, size=(20, 24))
    data = opened(views="folders", source=PictureFolder(path=str(tmp_path / "rig"), folder=None))
    store, indices = data.pictures("train")
    assert (len(store), len(indices)) == (5, 4)
    assert all(name.startswith("middle/") for name in store.names)
    seen = fit(Viewer(), data, max_steps=2)
    assert seen["train"][0]["input"].shape == (4, 3, 3, 4, 4)


def test_description_and_protocol_state_the_views(opened):
    data = opened(num_views=2)
    assert data.describe().endswith("inputs of 3x4x4, 2 views each")
    facts = {"views": "shifts", "num_views": 2, "max_shift": [1, 1]}
    assert facts.items() <= data.protocol().items()
    assert "max_shift" not in opened(views="frames").protocol()


@pytest.mark.parametrize("model", [Drawer(), Reader(scale=2)])
def test_models_that_read_no_views_are_refused_with_networks_that_do(opened, model):
    with pytest.raises(UserError, match="network=multi_frame, or network=multi_view"):
        opened().refuse(model)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"views": "stereo"}, r"data\.views=stereo: must be shifts \| folders \| frames"),
        ({"num_views": 0}, r"data\.num_views=0: must be 1 or more"),
        ({"max_shift": [0, 0]}, r"data\.max_shift=\[0, 0\]"),
        ({"degradation": None}, "need a degradation without holes"),
        ({"degradation": Grain(factor=2, adds_mask=True)}, "need a degradation without holes"),
        ({"views": "folders", "num_views": 5}, "only 4 folders of views"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_the_key_to_change(opened, words, message):
    with pytest.raises(UserError, match=message):
        opened(**words)


def test_pictures_that_are_too_small_for_crop_and_shifts_are_refused(opened):
    data = opened(crop_size=18)
    with pytest.raises(UserError, match=r"crop_size=18: .* has only .*\n.*reads 2 more") as error:
        data.refuse(Viewer())
    limit = int(str(error.value).partition("a data.crop_size of ")[2].split()[0])
    opened(crop_size=limit).refuse(Viewer())
    with pytest.raises(UserError, match=rf"a data\.crop_size of {limit} at most"):
        opened(crop_size=limit + 2).refuse(Viewer())
    with pytest.raises(UserError, match=r"crop_size=8: .*\n.*\nChoose a smaller data\.max_shift"):
        opened(max_shift=[99, 99]).refuse(Viewer())


def test_frames_need_a_folder_for_each_split(folder, opened):
    for part in sorted(folder.iterdir())[1:]:
        part.rename(folder.parent / part.name)
    with pytest.raises(UserError, match=r"there is 1 folder\nfor training and validation: use 2"):
        opened(views="frames")
    opened(views="frames", validation_fraction=0.0)
