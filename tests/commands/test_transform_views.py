"""`limner transform`, load and export of a model of several views."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from limner.commands import export as export_command
from limner.commands import transform as transform_command
from limner.errors import UserError
from limner.pixels import to_float, to_uint8
from limner.pretrained.load import load
from support.runs import trained


def pixels(height, width, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a short run on three views."""
    folder = tmp_path_factory.mktemp("views")
    (folder / "photos").mkdir()
    for i in range(4):
        Image.fromarray(pixels(40, 44, seed=i)).save(folder / f"photos/{i}.png")
    small = ["width=8", "num_blocks=1"]
    return trained(
        folder / "runs", "model=super_resolution", "network=multi_frame", "data=multi_view",
        f"data.path={folder / 'photos'}", "data.crop_size=16", "data.scale=2", "data.batch_size=2",
        "optimizer.lr=0.01", *(f"network.restorer.{each}" for each in small),
    )  # fmt: skip


@pytest.fixture
def views(tmp_path, monkeypatch):
    """Write three views into the folder `in`, and return their pixels in the order of names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    found = [pixels(31, 26, seed=9 + i) for i in range(3)]
    for name, each in zip(("v9", "v10", "v11"), found, strict=True):
        Image.fromarray(each).save(tmp_path / f"in/{name}.png")
    return found


def transform(run, *words):
    return transform_command.run([f"run={run}", "input=in", "output=out", "device=cpu", *words])


def content(path):
    return np.asarray(Image.open(path))


def test_views_of_a_picture_are_transformed_in_tiles_like_the_whole(run, views):
    model = load(run, device="cpu")
    inputs = to_float(torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)[None])
    whole = to_uint8(model.module.transform(inputs)[0]).permute(1, 2, 0).numpy()
    assert whole.shape == (62, 52, 3)
    for given, tile in ((views, 9), (np.stack(views), None)):
        made = model.transform(given, tile=tile)
        assert np.abs(made.astype(int) - whole).max() <= 1
    one = model.transform(views[1], tile=None)
    assert not np.array_equal(one, whole)
    equal = model.transform([views[1]] * 4, tile=None)
    assert np.abs(equal.astype(int) - one).max() <= 1


def test_command_joins_the_pictures_of_a_folder_and_names_the_result_by_the_middle(run, views):
    due = load(run, device="cpu").transform(views)
    assert transform(run) == 0
    assert np.array_equal(content("out/v10.png"), due)
    export_command.run([f"run={run}", "to=exported"])
    assert transform("exported", "existing=overwrite") == 0
    assert np.array_equal(content("out/v10.png"), due)


def test_command_reads_frames_with_their_neighbours_or_each_picture_alone(run, views):
    model = load(run, device="cpu")
    assert transform(run, "views=frames") == 0
    assert np.array_equal(content("out/v9.png"), model.transform([views[0], *views[:2]]))
    assert np.array_equal(content("out/v10.png"), model.transform(views))
    shutil.rmtree("out")
    assert transform(run, "views=single") == 0
    assert np.array_equal(content("out/v11.png"), model.transform(views[2]))


def test_views_of_other_sizes_and_unknown_words_are_refused(run, views):
    with pytest.raises(UserError, match="must have one size, not 26x30 and 26x31"):
        load(run, device="cpu").transform([views[0], views[1][:30]])
    Image.fromarray(views[0][:30]).save("in/v12.png")
    with pytest.raises(UserError, match=r"1 of 1 pictures have no result:\n  v10.png: the views"):
        transform(run)
    with pytest.raises(UserError, match="views=all: choose folder, frames, single"):
        transform(run, "views=all")


@pytest.mark.slow
def test_onnx_file_reads_the_channels_of_all_views(run, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    export_command.run([f"run={run}", "to=exported", "onnx=true"])
    session = onnxruntime.InferenceSession("exported/model.onnx")
    given = np.random.default_rng(0).uniform(-1, 1, (1, 9, 20, 18)).astype(np.float32)
    (made,) = session.run(None, {"input": given})
    views = torch.from_numpy(given).unflatten(1, (3, 3))
    due = load(run, device="cpu").module.transform(views)
    np.testing.assert_allclose(made, due.detach().numpy(), atol=1e-4)
