import numpy as np
import pytest
import torch

from limner.data.published_sequences import published_sequences
from limner.errors import UserError
from support.clips import settings


def write(path, shape=(6, 4, 10, 10), dtype=np.uint8):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    np.save(path, array)
    return array


def test_published_file_has_its_frames_first_and_its_sequences_second(tmp_path):
    array = write(tmp_path / "test.npy")
    store = published_sequences(tmp_path / "test.npy", settings(image_shape=[1, 10, 10]))
    assert len(store) == 4
    found = store.gather(torch.tensor([2, 0]))
    assert torch.equal(found[:, :, 0], torch.from_numpy(array[:3, [2, 0]].swapaxes(0, 1).copy()))
    colour = published_sequences(tmp_path / "test.npy", settings())
    assert colour.gather(torch.arange(1)).shape == (1, 3, 3, 10, 10)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((6, 4, 8, 10), np.uint8, "has 6 frames of 8x10, and the data have\n3 frames of 10x10"),
        ((2, 4, 10, 10), np.uint8, "has 2 frames of 10x10"),
        ((6, 4, 10), np.uint8, "must hold uint8"),
        ((6, 4, 10, 10), np.float32, "must hold uint8"),
    ],
)
def test_file_that_does_not_fit_is_refused(tmp_path, shape, dtype, message):
    write(tmp_path / "test.npy", shape, dtype)
    with pytest.raises(UserError, match=message):
        published_sequences(tmp_path / "test.npy", settings(image_shape=[1, 10, 10]))


def test_file_that_is_no_array_is_refused(tmp_path):
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("x")
    for name in ("pickled.npy", "text.npy"):
        with pytest.raises(UserError, match=rf"data\.test_file=.*{name} is no \.npy file"):
            published_sequences(tmp_path / name, settings())
    with pytest.raises(UserError, match="cannot be read"):
        published_sequences(tmp_path / "gone.npy", settings())
