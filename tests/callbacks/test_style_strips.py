from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from limner.callbacks.strips import Strips
from limner.callbacks.style_strips import TILE, StyleStrips
from limner.files.pictures import grid_box
from support.pairs import Linear
from support.styles import style_model


class Pictures:
    """Data with whole validation pictures of two sizes."""

    def __init__(self, num):
        self.num = num

    def pictures(self, split):
        return None, torch.arange(self.num)

    def whole_pictures(self, split, *, device):
        for i in range(self.num):
            image = torch.full((1, 3, 300 if i else 64, 64), 0.5)
            yield {"image": image, "input": image}


def trainer(folder, data, update=1, rank=0):
    return SimpleNamespace(
        global_step=update, is_global_zero=rank == 0, datamodule=data, loggers=[],
        default_root_dir=str(folder), state=SimpleNamespace(fn="fit"),
    )  # fmt: skip


def test_picture_shows_style_pictures_above_each_validation_picture_in_each_style(tmp_path):
    model = style_model(styles=("brick.png", "coffee.png"))
    with torch.no_grad():
        model.network.norm.gamma.zero_()
        model.network.norm.beta[1] = 9.0  # coffee paints white, and brick grey
    StyleStrips(every_num_updates=5, num_images=2).on_train_end(
        trainer(tmp_path, Pictures(3)), model
    )
    picture = Image.open(tmp_path / "final.png")
    cells = np.asarray(picture.crop(grid_box(picture)).convert("RGB")).astype(float)
    height, width = (size // (TILE + 2) for size in cells.shape[:2])
    assert (height, width) == (3, 3)
    middle = cells[TILE // 2 :: TILE + 2, TILE // 2 - 40 :: TILE + 2]
    assert middle[1, 1] == pytest.approx([127.5] * 3, abs=1)
    assert middle[1, 2] == pytest.approx([255] * 3, abs=1)
    assert middle[1, 0] == pytest.approx([191.25] * 3, abs=1)
    assert cells[:TILE, TILE + 4 : 2 * TILE].std() > 20, "noise, the style picture"


def test_pictures_come_at_intervals_in_the_first_process_only(tmp_path):
    (tmp_path / "samples").mkdir()
    callback, data = StyleStrips(every_num_updates=5, num_images=1), Pictures(1)
    for update in range(1, 11):
        for rank in (1, 0) if update == 5 else (1,):
            callback.on_train_batch_end(trainer(tmp_path, data, update, rank), style_model())
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["update_00000005.png"]


@pytest.mark.parametrize(
    ("model", "data"),
    [(Linear(), Pictures(1)), (style_model(), Pictures(0)), (style_model(), None)],
    ids=["other model", "no pictures", "other data"],
)
def test_nothing_is_drawn_for_other_models_and_without_pictures(tmp_path, model, data):
    StyleStrips(every_num_updates=5, num_images=1).on_train_end(trainer(tmp_path, data), model)
    assert not list(tmp_path.iterdir())


def test_strips_of_pairs_leave_style_transfer_alone(tmp_path):
    callback = Strips(every_num_updates=1, num_images=1)
    callback.on_validation_epoch_start(trainer(tmp_path, Pictures(1)), style_model())
    assert callback._gallery is None


@pytest.mark.parametrize("wrong", [{"num_images": 0}, {"every_num_updates": 0}])
def test_style_strips_refuse_intervals_and_numbers_below_1(wrong):
    with pytest.raises(ValueError, match="must be 1 or more"):
        StyleStrips(**{"num_images": 1, "every_num_updates": 1} | wrong)
