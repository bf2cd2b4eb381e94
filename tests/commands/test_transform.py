"""`limner transform` writes the model's result of each picture, with its name and metadata."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import limner
from limner.commands import export as export_command
from limner.commands import sample as sample_command
from limner.commands import transform as transform_command
from limner.commands.picture_files import is_named_as_file
from limner.errors import UserError
from limner.pixels import to_float, to_uint8
from limner.pretrained.load import load
from support.picture_models import Enlarger, Nearest, directed_export, export_of
from support.runs import trained

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
"""A profile of RGB colours; it contains the second of its creation."""


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    export_of(Nearest, {"scale": 2}, folder / "twice")
    export_of(Nearest, {"scale": 1}, folder / "filler", channels=4)
    export_of(Enlarger, {"scale": 2}, folder / "enlarger")
    export_of(Enlarger, {"scale": 1, "channels": 1, "outputs": 1}, folder / "grey",
              channels=1, outputs=1)  # fmt: skip
    export_of(Enlarger, {"scale": 2, "channels": 2, "outputs": 2}, folder / "two",
              channels=2, outputs=2)  # fmt: skip
    directed_export(folder / "directed")
    return folder


@pytest.fixture
def transform(exports, tmp_path, monkeypatch, capsys):
    """Run `limner transform` in an empty folder; return the lines that it prints."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, run: str = "twice") -> list[str]:
        words = [f"run={exports / run}", "device=cpu", "trust=[support]", *words]
        assert transform_command.run(words) == 0
        return capsys.readouterr().out.splitlines()

    return command


def pixels(height, width, *channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def picture(path, array=None, **options):
    array = pixels(5, 7, 3) if array is None else array
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return array


def twice(array):
    return array.repeat(2, 0).repeat(2, 1)


def content(path):
    return np.asarray(Image.open(path))


def test_transform_keeps_names_and_folders_and_writes_png_for_formats_with_loss(transform):
    for name in ("a.png", "sub/b.bmp", "sub/deep/c.tif", "d.PPM"):
        picture(f"in/{name}")
    picture("in/e.jpg")
    Path("in/notes.txt").write_text("no picture")
    lines = transform("input=in", "output=out")
    assert lines == ["Left out, since they are no pictures: 1 of the files.", "out"]
    found = {path.relative_to("out").as_posix() for path in Path("out").rglob("*.*")}
    assert found == {"a.png", "sub/b.bmp", "sub/deep/c.tif", "d.PPM", "e.png"}
    for name in found - {"e.png"}:
        assert np.array_equal(content(f"out/{name}"), twice(pixels(5, 7, 3)))
    assert np.array_equal(content("out/e.png"), twice(content("in/e.jpg")))


def test_transform_of_a_file_and_of_a_zip_file_equals_the_transform_of_a_folder(transform):
    picture("in/a.png")
    picture("in/b/c.png", pixels(9, 4, 3, seed=1))
    with zipfile.ZipFile("in.zip", "w") as archive:
        for name in ("a.png", "b/c.png"):
            archive.write(f"in/{name}", name.replace("/", "\\"))
    transform("input=in", "output=folder")
    transform("input=in.zip", "output=archive")
    transform("input=in/a.png", "output=one")
    for name in ("a.png", "b/c.png"):
        assert Path("archive", name).read_bytes() == Path("folder", name).read_bytes()
    assert Path("one/a.png").read_bytes() == Path("folder/a.png").read_bytes()


def test_transform_equals_load_and_transform_in_tiles_of_any_size(transform, exports):
    picture("in/a.png", pixels(40, 50, 3))
    model = load(exports / "enlarger", device="cpu", trust=["support"])
    expected = model.transform(pixels(40, 50, 3), tile=None).astype(int)
    for tile in ("16", "null"):
        transform("input=in", f"output=in_{tile}", f"tile={tile}", run="enlarger")
        assert np.abs(content(f"in_{tile}/a.png") - expected).max() <= 1


def test_transform_gives_pictures_of_one_name_two_names(transform):
    picture("in/a.png", seed := pixels(5, 7, 3, seed=1))
    picture("in/a.jpg")
    transform("input=in", "output=out")
    assert np.array_equal(content("out/a.png"), twice(seed))
    assert np.array_equal(content("out/a.jpg.png"), twice(content("in/a.jpg")))
    picture("in/a.jpg.png")
    with pytest.raises(UserError, match=r"a\.jpg\.png and a\.jpg|a\.jpg and a\.jpg\.png"):
        transform("input=in", "output=other")
    assert not Path("other").exists()


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_transform_turns_pictures_upright_and_keeps_true_metadata(transform, ending):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # turned to the right
    if ending != "tif":
        exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA002: 7, 0xA003: 5}
        exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    options = {"icc_profile": PROFILE, "dpi": (100, 50)}
    if ending == "jpg":
        options |= {"quality": 100, "subsampling": 0}
    array = picture(f"in/a.{ending}", exif=exif.tobytes(), **options)
    transform("input=in", "output=out")
    (path,) = Path("out").iterdir()
    made = Image.open(path)
    difference = np.asarray(made).astype(int) - twice(np.rot90(array, -1))
    assert np.abs(difference).mean() < (2 if ending == "jpg" else 1e-9)
    found = made.getexif()
    assert found.get(0x0112, 1) == 1
    assert found[0x010F] == "Maker"
    assert made.info["icc_profile"] == PROFILE
    assert np.allclose([float(each) for each in made.info["dpi"]], (100, 200), atol=0.5)
    if ending != "tif":
        assert found.get_ifd(0x8769) == {0x9003: "2020:01:02 03:04:05"}
        assert found.get_ifd(0x8825)[1] == "N"


def test_transform_converts_deep_grey_and_cmyk_pictures_and_says_so(transform):
    deep = np.random.default_rng(0).integers(0, 2**16, (5, 7)).astype(np.uint16)
    picture("in/deep.png", deep)
    grey = picture("in/grey.png", pixels(5, 7), icc_profile=PROFILE)
    colour = np.random.default_rng(0).integers(0, 2**16, (2, 3, 3)).astype(np.uint16)
    header = b"P6 3 2 65535\n"
    Path("in/colour.ppm").write_bytes(header + colour.astype(">u2").tobytes())
    Image.fromarray(pixels(5, 7, 4), mode="CMYK").save("in/cmyk.tif")
    *lines, last = transform("input=in", "output=out")
    assert sorted(lines) == [
        "1 of 4 pictures: CMYK to RGB.",
        "2 of 4 pictures: grey to colour for the model, and the result to grey.",
        "2 of 4 pictures: more than 8 bits to 8 bits.",
    ]
    assert last == "out"
    assert np.array_equal(content("out/deep.png"), twice((deep >> 8).astype(np.uint8)))
    assert np.array_equal(content("out/grey.png"), twice(grey))
    assert "icc_profile" not in Image.open("out/grey.png").info, "a profile of other colours"
    assert content("out/colour.ppm").shape == (4, 6, 3)


def test_transform_of_colours_by_a_grey_model_gives_grey_and_says_so(transform):
    picture("in/a.png")
    lines = transform("input=in", "output=out", run="grey")
    assert lines[0] == "1 of 1 pictures: colour to grey."
    assert Image.open("out/a.png").mode == "L"


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_transform_enlarges_transparency_by_bicubic_interpolation(transform, ending):
    array = picture(f"in/a.{ending}", pixels(5, 7, 4), lossless=True)
    lines = transform("input=in", "output=out")
    assert "transparency is enlarged by bicubic interpolation" in lines[0]
    (path,) = Path("out").iterdir()
    made = content(path)
    alpha = Image.fromarray(array[..., 3]).resize((14, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(made[..., 3], np.asarray(alpha))
    if ending != "webp":  # whose encoder changes the colours of invisible pixels
        assert np.array_equal(made[..., :3], twice(array[..., :3]))


def test_transform_fills_transparent_pixels_with_a_model_of_holes(transform):
    array = pixels(5, 7, 4)
    array[..., 3] = np.where(pixels(5, 7, seed=1) < 128, 0, 255)
    picture("in/a.png", array)
    transform("input=in", "output=out", run="filler")
    made = content("out/a.png")
    known = array[..., 3] == 255
    assert np.array_equal(made[known], array[known][:, :3])
    assert (made[~known] == 128).all(), "the colour of a hole does not reach the model"
    picture("in/a.png")
    with pytest.raises(UserError, match=r"a\.png: it has no transparent pixels"):
        transform("input=in", "output=other", run="filler")


def test_transform_reports_damaged_pictures_after_the_others(transform, capsys):
    for name in ("a.png", "z.png"):
        picture(f"in/{name}")
    whole = Path("in/a.png").read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    Path("in/c.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError) as error:
        transform("input=in", "output=out")
    first, *lines = str(error.value).splitlines()
    assert first == "2 of 4 pictures have no result:"
    assert [line.split(":")[0] for line in lines] == ["  b.png", "  c.jpg"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "z.png"]
    assert "out" in capsys.readouterr().out


def test_transform_reads_one_picture_at_a_time(transform, monkeypatch):
    for i in range(3):
        picture(f"in/{i}.png")
    order, files = [], transform_command.PictureFiles
    read, save = files.content, transform_command.save_picture

    def reading(self, name):
        order.append(f"read {name}")
        return read(self, name)

    def saving(made, path, metadata):
        order.append(f"write {path.name}")
        save(made, path, metadata)

    monkeypatch.setattr(files, "content", reading)
    monkeypatch.setattr(transform_command, "save_picture", saving)
    transform("input=in", "output=out")
    assert order == [f"{what} {i}.png" for i in range(3) for what in ("read", "write")]


def test_transform_refuses_skips_or_overwrites_existing_results(transform):
    for name in ("a", "b"):
        picture(f"in/{name}.png")
    picture("out/a.png", old := pixels(2, 2, 3, seed=5))
    with pytest.raises(UserError, match=r"has 1 of the 2 results already, such as a\.png"):
        transform("input=in", "output=out")
    assert not Path("out/b.png").exists()
    assert transform("input=in", "output=out", "existing=skip")[0].startswith(
        "Left as they are: 1"
    )
    assert np.array_equal(content("out/a.png"), old)
    assert np.array_equal(content("out/b.png"), twice(pixels(5, 7, 3)))
    transform("input=in", "output=out", "existing=overwrite")
    assert np.array_equal(content("out/a.png"), twice(pixels(5, 7, 3)))


def test_transform_keeps_the_old_result_when_writing_fails(transform, monkeypatch):
    picture("in/a.png")
    transform("input=in", "output=out")
    before = Path("out/a.png").read_bytes()

    def fail(self, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UserError, match=r"output=out: out/a\.png cannot be written \(No space"):
        transform("input=in", "output=out", "existing=overwrite")
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]
    assert Path("out/a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input=none", "output=out"], "input=none does not exist"),
        (["input=in", "output=in"], "output=in is input=in or lies in it"),
        (["input=in", "output=in/out"], "lies in it: choose a folder outside"),
        (["input=in/a.png", "output=in", "existing=overwrite"], "would replace input="),
        (["input=in", "output=in/a.png"], "lies in it"),
        (["input=in", "output=file"], "output=file is a file: name a folder"),
        (["input=empty", "output=out"], "input=empty has no picture"),
        (["input=in", "output=out", "existing=yes"], "choose refuse, skip, overwrite"),
        (["input=in", "output=out", "tile=0"], "tile=0: must be 1 or more"),
        (["input=in"], "output must be given"),
    ],
)
def test_transform_refuses_a_mistake_before_it_loads_the_model(
    transform, monkeypatch, words, message
):
    picture("in/a.png")
    Path("empty").mkdir()
    Path("file").write_text("")
    monkeypatch.setattr(transform_command, "load", lambda *_, **__: pytest.fail("it loads"))
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        transform(*words)


def test_transform_refuses_models_whose_pictures_are_no_files(transform):
    picture("in/a.png")
    with pytest.raises(UserError, match="pictures of 2 channels to pictures of 2 are no files"):
        transform("input=in", "output=out", run="two")


def test_transform_refuses_pictures_beyond_the_limit_before_decoding(transform, monkeypatch):
    picture("in/a.png", pixels(10, 10, 3))
    monkeypatch.setattr("limner.pretrained.picture_transform.MAX_PIXELS", 399)
    monkeypatch.setattr(
        transform_command, "picture_input", lambda *_, **__: pytest.fail("decodes")
    )
    with pytest.raises(UserError, match=r"a\.png: x2 would give 20 x 20 pixels; the limit is 399"):
        transform("input=in", "output=out")


def test_commands_name_the_command_that_fits_the_model(exports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture("in/a.png")
    drawing = trained(
        tmp_path / "run", "network=mlp", "trainer.max_steps=1", "~callbacks.pictures"
    )
    with pytest.raises(
        UserError,
        match=r"VAE \(model=.*vae\) transforms no pictures; it draws them: limner s",
    ):
        transform_command.run([f"run={drawing}", "input=in", "output=out", "device=cpu"])
    with pytest.raises(UserError, match="transforms no pictures"):  # the model, not the path
        transform_command.run([f"run={drawing}", "input=a.gif", "output=b.gif", "device=cpu"])
    assert not Path("out").exists()
    words = [f"run={exports / 'twice'}", "trust=[support]", "device=cpu"]
    with pytest.raises(UserError, match="draws no images; it transforms pictures: limner transf"):
        sample_command.run(words)
    assert isinstance(limner.load(drawing), limner.TrainedModel)
    shutil.rmtree(drawing)


@pytest.mark.parametrize(
    ("words", "network"),
    [
        (["model=super_resolution", "data=super_resolution", "data.scale=2"], "span"),
        (["model=restoration", "data=restoration", "data/degradation=holes"], "nafnet"),
        (
            ["model=pix2pix", "data=restoration", "network.discriminator.receptive_field=16"],
            "unet",
        ),
    ],
)
def test_transform_and_export_of_a_trained_run_equal_its_model(
    tmp_path, monkeypatch, words, network
):
    for i in range(4):
        picture(tmp_path / f"photos/{i}.png", pixels(40, 44, 3, seed=i))
    small = ["width=8", *{
        "span": ["num_blocks=2"], "unet": ["max_width=16"],
        "nafnet": ["middle_blocks=1", "encoder_blocks=[1,1]", "decoder_blocks=[1,1]"],
    }[network]]  # fmt: skip
    run = trained(
        tmp_path / "runs", *words, f"network={network}", f"data.path={tmp_path / 'photos'}",
        "data.crop_size=16", "data.batch_size=2", "optimizer.lr=0.01",
        *(f"network.restorer.{each}" for each in small),
    )  # fmt: skip
    model, given = load(run, device="cpu"), pixels(30, 37, 3, seed=9)
    mask = pixels(30, 37) > 99 if network == "nafnet" else None
    made = model.transform(given, mask, tile=16)
    with torch.no_grad():
        known = None if mask is None else torch.from_numpy(mask)[None, None].float()
        inputs = to_float(torch.from_numpy(given).permute(2, 0, 1)[None])
        whole = model.module.transform(inputs if known is None else inputs * known, known)
    assert np.abs(to_uint8(whole[0]).permute(1, 2, 0).numpy().astype(int) - made).max() <= 1
    monkeypatch.chdir(tmp_path)
    export_command.run([f"run={run}", "to=exported"])
    assert np.array_equal(load("exported", device="cpu").transform(given, mask, tile=16), made)
    alpha = [] if mask is None else [255 * mask[..., None].astype(np.uint8)]
    picture("in/a.png", np.concatenate([given, *alpha], 2))
    transform_command.run(["run=exported", "input=in", "output=out", "tile=16", "device=cpu"])
    assert np.array_equal(content("out/a.png"), made)


def test_transform_takes_the_direction_of_a_model_with_two(transform):
    array = picture("in/a.png")
    transform("input=in", "output=ab", "direction=ab", run="directed")
    transform("input=in", "output=ba", "direction=ba", run="directed")
    assert np.array_equal(content("ab/a.png"), twice(array))
    assert np.array_equal(content("ba/a.png"), array)
    with pytest.raises(UserError, match="direction=null: this DirectedModel needs direction=ab"):
        transform("input=in", "output=none", run="directed")
    with pytest.raises(UserError, match="direction=ab: this PictureModel has no direction"):
        transform("input=in", "output=none", "direction=ab")
    assert not Path("none").exists()


@pytest.mark.parametrize("words", [("input=in/a.png",), ("input=in",)])
def test_transform_refuses_the_name_of_a_picture_as_its_output_folder(transform, words):
    picture("in/a.png")
    with pytest.raises(UserError, match=r"output=one\.png: (?s:must be a folder.*)output=one$"):
        transform(*words, "output=one.png")
    Path("two.png").mkdir()
    transform(*words, "output=two.png")


def test_transform_of_one_picture_prints_the_path_of_its_result(transform):
    picture("in/a.jpg")
    assert transform("input=in/a.jpg", "output=out") == ["out/a.png"]
    assert transform("input=in", "output=other") == ["other/a.png"]


def test_transform_states_how_many_pixels_were_holes(transform):
    array = pixels(5, 7, 4)
    array[..., 3] = 255
    array[0, :3, 3] = (0, 128, 254)  # every pixel that is not opaque is a hole
    picture("in/a.png", array)
    lines = transform("input=in", "output=out", run="filler")
    assert "a.png: 3 of 35 pixels were holes." in lines


@pytest.mark.parametrize(
    ("name", "is_file"),
    [("out", False), ("v1.2", False), ("run.v2", False), ("a.png", True), ("a.txt", True),
     ("a.MP4", True), ("a.mkv", True), ("a.npz", True), ("a.zip", True)],
)  # fmt: skip
def test_output_with_the_suffix_of_a_file_names_no_folder(name, is_file):
    assert is_named_as_file(Path(name)) == is_file
