import base64
import csv
import io
import json
import re
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.stats import binomtest

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import write_picture
from limner.commands.compare.blind import chosen, page, shared_captions
from limner.commands.compare.command import run
from limner.commands.compare.runs import find
from limner.commands.compare.tiles import tiles
from limner.errors import UserError
from limner.files.pictures import CAPTIONS, GRID
from support.blind_page import GREY, NEEDS_BROWSER, RED, look, plain
from support.fake_runs import make_run


def stored(html):
    """Return the data part of a page, and its pictures."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
        for uri in data["pictures"]
    ]
    return data, pictures


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20), (3, 70, 70)])
@pytest.mark.parametrize("count", [1, 5, 16])
def test_pictures_cut_from_a_grid_equal_the_pictures_that_made_the_grid(tmp_path, shape, count):
    images = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (made,) = find([make_run(tmp_path, images=images)])
    found = tiles(made)
    assert len(found) == count
    for image, tile in zip(images, found, strict=True):
        alone = grid(image[None], columns=1).convert("RGB")
        np.testing.assert_array_equal(np.asarray(tile), np.asarray(alone))


@pytest.mark.parametrize("count", [1, 6])
def test_pictures_cut_from_a_labelled_grid_equal_the_pictures_that_made_the_grid(tmp_path, count):
    images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    folder = make_run(tmp_path, images=images)
    bare = tiles(*find([folder]))
    made = with_labels(
        Image.open(folder / "final.png"), title="Samples", rows=["cat"] * max(1, count // 2)
    )
    trainer = SimpleNamespace(default_root_dir=tmp_path, loggers=[], global_step=1)
    write_picture(trainer, made, "final", key="samples", caption="Samples.")
    found = tiles(*find([folder]))
    assert len(found) == len(bare) == count
    for image, tile in zip(bare, found, strict=True):
        np.testing.assert_array_equal(np.asarray(tile), np.asarray(image))


def test_picture_with_a_damaged_record_of_its_grid_is_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    info = PngInfo()
    info.add_text(GRID, "0,0,9999,9999")
    Image.open(folder / "final.png").save(folder / "final.png", pnginfo=info)
    with pytest.raises(UserError, match=r"final\.png has a damaged record of its grid"):
        tiles(*find([folder]))


def test_picture_that_is_not_a_grid_is_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    Image.new("RGB", (100, 100)).save(folder / "final.png")
    with pytest.raises(UserError, match="is no grid of pictures of 64x64 pixels"):
        tiles(*find([folder]))


def test_blind_page_needs_no_other_file():
    html = page({"a": plain(GREY, 3), "b": plain(RED, 3)}, num_trials=3, num_images=1, seed=0)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", html)
    assert not re.search(r"<(link|iframe|object|embed)\b|\bsrc\s*=\s*[\"']", html)
    assert "default-src 'none'" in html


def test_blind_page_holds_every_picture_once_and_the_key_names_its_run():
    sides = {"model=vae": plain(GREY, 4), "model=gan": plain(RED, 4)}
    data, pictures = stored(page(sides, num_trials=2, num_images=2, seed=0))
    key = json.loads(base64.b64decode(data["key"]))
    colours = {"model=vae": GREY, "model=gan": RED}
    assert len(pictures) == 8
    for picture, side in zip(pictures, key["sides"], strict=True):
        assert picture.getpixel((0, 0)) == colours[key["names"][side]]


def test_blind_page_shows_no_run_name_in_plain_text():
    html = page(
        {"vae<1>": plain(GREY, 9), "gan": plain(RED, 9)}, num_trials=9, num_images=1, seed=0
    )
    assert not re.search(
        r"\b(vae|gan)\b", re.sub(r"base64,[\w+/=]*|\"key\": \"[\w+/=]*", "", html)
    )


def test_blind_page_stores_pictures_in_random_order():
    sides = {"a": plain(GREY, 20), "b": plain(RED, 20)}
    orders = []
    for seed in (0, 1):
        data, _ = stored(page(sides, num_trials=20, num_images=1, seed=seed))
        orders.append(json.loads(base64.b64decode(data["key"]))["sides"])
    assert orders[0] != orders[1]
    assert all(0 < sum(order[:20]) < 20 for order in orders)


def captioned(colour, *captions):
    pictures = plain(colour, len(captions))
    for picture, caption in zip(pictures, captions, strict=True):
        picture.info["caption"] = caption
    return pictures


def test_captions_of_a_grid_come_with_its_pictures(tmp_path):
    folder = make_run(tmp_path / "run")
    info = PngInfo()
    info.add_text(CAPTIONS, json.dumps(["a cat", "ein Bär", "a cat", "a dog"]))
    Image.open(folder / "final.png").save(folder / "final.png", pnginfo=info)
    cut = tiles(*find([folder]))
    assert [picture.info["caption"] for picture in cut] == ["a cat", "ein Bär", "a cat", "a dog"]


@pytest.mark.parametrize("record", ["[1, 2]", "{", '"a cat"', "[" * 100_000])
def test_damaged_record_of_captions_is_refused(tmp_path, record):
    folder = make_run(tmp_path / "run")
    info = PngInfo()
    info.add_text(CAPTIONS, record)
    Image.open(folder / "final.png").save(folder / "final.png", pnginfo=info)
    with pytest.raises(UserError, match=r"final\.png has a damaged record of its captions"):
        tiles(*find([folder]))


def test_shared_captions_are_those_for_which_every_side_has_a_picture():
    sides = {
        "a": captioned(GREY, "cat", "dog", "cat", "owl"),
        "b": captioned(RED, "cat", "cat", "cat", "dog"),
    }
    assert shared_captions(sides) == ["cat", "cat", "dog"]
    assert shared_captions({**sides, "c": plain(RED, 3)}) == []
    taken = chosen(sides["a"], ["cat", "cat", "dog"])
    assert [picture.info["caption"] for picture in taken] == ["cat", "cat", "dog"]
    assert len({id(picture) for picture in taken}) == 3


def test_blind_page_of_runs_with_captions_stores_the_caption_of_each_picture(tmp_path):
    folders = []
    for name, captions in (
        ("1", ["cat", "dog", "owl", "cat"]),
        ("2", ["owl", "cat", "ox", "</a>"]),
    ):
        folder = make_run(tmp_path / name, seed=int(name))
        info = PngInfo()
        info.add_text(CAPTIONS, json.dumps(captions))
        Image.open(folder / "final.png").save(folder / "final.png", pnginfo=info)
        folders.append(str(folder))
    assert run(["--blind", *folders, f"to={tmp_path}/page.html"]) == 0
    data, _ = stored((tmp_path / "page.html").read_text())
    sides = json.loads(base64.b64decode(data["key"]))["sides"]
    for side in (0, 1):
        texts = [text for text, at in zip(data["captions"], sides, strict=True) if at == side]
        assert sorted(texts) == ["cat", "owl"]


def test_a_caption_cannot_end_the_data_of_a_page():
    sides = {"a": plain(GREY, 1), "b": plain(RED, 1)}
    text = "</script><script>alert(1)</script>"
    html = page(sides, captions=[text], num_trials=1, num_images=1, seed=0)
    assert "alert(1)" not in re.sub(r'id="data">.*?</script>', "", html, flags=re.DOTALL)
    assert stored(html)[0]["captions"] == [text, text]


def test_blind_page_offers_only_choices_for_which_there_are_pictures(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    lr = {"optimizer.lr": 1e-4}
    make_run(tmp_path / "a", images=torch.zeros(9, 1, 8, 8))
    make_run(tmp_path / "b", values=lr, images=torch.ones(6, 1, 8, 8))
    make_run(tmp_path / "b2", seed=1, values=lr, images=torch.ones(6, 1, 8, 8))
    (make_run(tmp_path / "c", seed=2) / "final.png").unlink()
    assert run(["--blind", "a", "b", "b2", "c", "num_images=2", "to=page.html"]) == 0
    out = capsys.readouterr().out
    assert "4 choices between 2: open page.html" in out
    assert "Left out: c has no final.png (training" in out
    data, _ = stored((tmp_path / "page.html").read_text())
    assert data["trials"] == 4


def test_compare_blind_names_runs_of_one_config_by_their_seeds(tmp_path):
    folders = [str(make_run(tmp_path / name, seed=int(name))) for name in "12"]
    assert run(["--blind", *folders, f"to={tmp_path}/page.html"]) == 0
    data, _ = stored((tmp_path / "page.html").read_text())
    assert sorted(json.loads(base64.b64decode(data["key"]))["names"]) == ["seed=1", "seed=2"]


def test_compare_blind_refuses_more_pictures_than_there_are(tmp_path):
    folders = [str(make_run(tmp_path / name, seed=int(name))) for name in "12"]
    with pytest.raises(UserError, match="num_images=5: a run has no more than 4"):
        run(["--blind", *folders, "num_images=5"])


IS_RED = """
const context = document.createElement("canvas").getContext("2d");
return [...document.querySelectorAll("#sides .side")].map((side) => {
  context.drawImage(side.querySelector("img"), 0, 0);
  const [red, green] = context.getImageData(1, 1, 1, 1).data;
  return red > 2 * green;
});"""


def wilson(count, total):
    low, high = binomtest(count, total).proportion_ci(0.95, "wilson")
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def downloaded(path):
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.read_text()


@pytest.mark.slow
@NEEDS_BROWSER
def test_blind_page_counts_choices_made_by_mouse_and_keys(chromium):
    opened, folder = chromium
    red = "model=gan <&> ä"
    html = page({"model=vae": plain(GREY, 6), red: plain(RED, 6)},
                num_trials=6, num_images=1, seed=0)  # fmt: skip
    (folder / "page.html").write_text(html, encoding="utf-8")
    opened.open(folder / "page.html")
    assert "model=" not in opened.run("return document.body.innerText")
    places = []
    for trial in range(6):
        assert opened.text("#count") == f"{trial + 1} of 6"
        is_red = opened.run(IS_RED)
        assert sorted(is_red) == [False, True]
        wanted = is_red.index(trial != 3)  # the red picture, and once the grey picture
        places.append(wanted)
        look()
        if trial % 2:
            opened.click(f"#sides .side:nth-child({wanted + 1})")
        else:
            opened.press(str(wanted + 1))
        if trial == 2:
            # Backspace takes the last choice back, and shows the same pictures
            opened.press("\ue003")
            assert opened.text("#count") == "3 of 6"
            assert opened.run(IS_RED) == is_red
            opened.reload()  # the page keeps every choice
            assert opened.text("#count") == "3 of 6"
            assert opened.run(IS_RED) == is_red
            opened.press(str(wanted + 1))  # the page ignores a key too soon after a choice
            assert opened.text("#count") == "3 of 6"
            look()
            opened.press(str(wanted + 1))
    rows = opened.run(
        "return [...document.querySelectorAll('#counts tr')].map((row) =>"
        " [...row.children].slice(0, 4).map((cell) => cell.innerText))"
    )
    assert rows == [[red, "5", "83 %", wilson(5, 6)], ["model=vae", "1", "17 %", wilson(1, 6)]]
    assert "no run is ahead" in opened.text("#verdict")

    opened.click("#json")
    saved = json.loads(downloaded(folder / "blind.json"))
    assert {entry["name"]: entry["chosen"] for entry in saved["counts"]} == {
        red: 5,
        "model=vae": 1,
    }
    assert [choice["position"] - 1 for choice in saved["choices"]] == places
    shown = [picture for choice in saved["choices"] for (picture,) in choice["pictures"]]
    assert sorted(shown) == list(range(12))
    opened.click("#csv")
    lines = list(csv.DictReader(downloaded(folder / "blind.csv").splitlines()))
    assert Counter(line["chosen"] for line in lines) == {red: 5, "model=vae": 1}

    opened.click("#again")
    assert opened.text("#count") == "1 of 6"


@pytest.mark.slow
@NEEDS_BROWSER
def test_blind_page_asks_which_picture_shows_the_caption(chromium):
    opened, folder = chromium
    texts = ["a cat", "a dog", "a cat", "an owl"]
    html = page({"a": plain(GREY, 4), "b": plain(RED, 4)}, captions=texts,
                num_trials=2, num_images=2, seed=0)  # fmt: skip
    (folder / "captions.html").write_text(html, encoding="utf-8")
    opened.open(folder / "captions.html")
    asked = []
    for _ in range(2):
        asked += re.findall("“(.*?)”", opened.text("#question"))
        assert opened.run(IS_RED) in ([False, True], [True, False])
        look()
        opened.press("1")
    assert sorted(asked) == sorted(texts)
    (folder / "blind.json").unlink(missing_ok=True)  # of an earlier test
    opened.click("#json")
    saved = json.loads(downloaded(folder / "blind.json"))
    assert [text for choice in saved["choices"] for text in choice["captions"]] == asked


@pytest.mark.slow
@NEEDS_BROWSER
def test_blind_page_works_without_storage(chromium):
    opened, folder = chromium
    html = page({"a": plain(GREY, 1), "b": plain(RED, 1)}, num_trials=1, num_images=1, seed=0)
    denied = (
        "<script>Object.defineProperty(window, 'localStorage',"
        " {get() { throw new Error('denied'); }});</script><title>"
    )
    (folder / "denied.html").write_text(html.replace("<title>", denied, 1), encoding="utf-8")
    opened.open(folder / "denied.html")
    look()
    opened.press("1")
    assert opened.run("return document.querySelectorAll('#counts tr').length") == 2


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize("num_images", [1, 4])
def test_blind_page_fits_the_width_of_a_phone(chromium, num_images):
    opened, folder = chromium
    sides = {name * 30: plain(GREY, num_images) for name in "abc"}
    html = page(sides, num_trials=1, num_images=num_images, seed=0)
    framed = (
        "<!doctype html><iframe id=phone width=360 height=700 "
        f"srcdoc='{html.replace('&', '&amp;').replace(chr(39), '&#39;')}'></iframe>"
    )
    (folder / "phone.html").write_text(framed, encoding="utf-8")
    opened.open(folder / "phone.html")
    inside = "const page = document.getElementById('phone').contentDocument;"
    overflow = f"{inside} return page.documentElement.scrollWidth"
    assert opened.run(overflow) <= 360
    look()
    opened.run(f"{inside} page.querySelector('.side').click()")
    assert opened.run(overflow) <= 360
    name = f"{inside} return page.querySelector('#counts th').getBoundingClientRect().width"
    assert opened.run(name) > 200  # The text is not squeezed into a narrow column.
