import torch

import limner
from limner.augmentations.degradations import Copy
from support.draws import OwnDraws, pictures
from support.photos import write_photos


def test_copy_is_the_picture_itself_without_a_mask():
    images = pictures()
    found = Copy()(images, draws=OwnDraws())
    assert torch.equal(found.input, images)
    assert found.mask is None


def test_data_of_pictures_have_equal_inputs_and_targets(tmp_path):
    folder = write_photos(tmp_path / "photos", 4, sizes=[(20, 30), (25, 16)])
    data = limner.open_data("pictures", path=str(folder), crop_size=16)
    assert data.input_shape == data.image_shape == [3, 16, 16]
    (batch,) = data.whole_pictures("validation", device=torch.device("cpu"))
    assert torch.equal(batch["input"], batch["image"])
    assert batch["image"].shape[2:] in {(20, 30), (25, 16)}
