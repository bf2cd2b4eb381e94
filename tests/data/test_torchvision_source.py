"""Data roots that are meant to do harm."""

import errno
import functools
import io
import os
import pickle
import subprocess
import threading
from pathlib import Path

import pytest
import torch
from PIL import EpsImagePlugin, Image
from torchvision.datasets import CIFAR10, MNIST, CelebA, cifar

from limner.data import ImageFolder, TorchvisionSource
from limner.data.backgrounds import WHITE
from limner.data.decode import read_picture
from limner.data.store import open_store
from limner.errors import UserError
from support import fakes


class Hostile:
    """A pickle that would leave a file if it were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def source(cls, root, files, folder, *, has_labels=True, **arguments):
    return TorchvisionSource(
        splits={"train": functools.partial(cls, **arguments)},
        root=str(root),
        files=files,
        urls=["http://127.0.0.1:9/train-images-idx3-ubyte.gz"],
        folder=folder,
        has_labels=has_labels,
    )


def mnist(root):
    return source(MNIST, root, "MNIST/raw/*-ubyte", "MNIST/raw", train=True)


def cifar10(root):
    return source(CIFAR10, root, "cifar-10-batches-py/*", ".", train=True)


@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_cifar_pickle_runs_no_code_when_it_passes_the_checksum(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cifar, "check_integrity", lambda *a, **k: True)
    fakes.cifar(tmp_path, 10)
    assert len(cifar10(tmp_path).pictures()["train"]) == 100
    hostile = pickle.dumps(Hostile(tmp_path / "executed"))
    (tmp_path / "cifar-10-batches-py" / name).write_bytes(hostile)
    with pytest.raises(UserError, match="a pickle of arrays does not ask for"):
        cifar10(tmp_path).pictures()
    assert not (tmp_path / "executed").exists()
    assert cifar.pickle is pickle


def test_cifar_pickle_is_not_read_when_it_fails_the_checksum(tmp_path):
    fakes.cifar(tmp_path, 10)
    hostile = pickle.dumps(Hostile(tmp_path / "executed"))
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(hostile)

    class Offline(CIFAR10):
        url = "http://127.0.0.1:9/x.tar.gz"

    with pytest.raises(UserError, match="could not be downloaded"):
        source(Offline, tmp_path, "cifar-10-batches-py/*", ".", train=True).pictures()
    assert not (tmp_path / "executed").exists()


def test_mnist_in_its_old_format_runs_no_code(tmp_path):
    """torchvision reads processed/*.pt without a checksum if that file exists."""
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save(Hostile(tmp_path / "executed"), folder / name)
    with pytest.raises(UserError, match="are damaged"):
        mnist(tmp_path).pictures()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("kind", ["pipe", "device", "five gigabytes"])
def test_mnist_is_refused_when_its_files_are_not_regular(tmp_path, name, kind):
    fakes.mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(5 * 2**30)
    ended = []

    def work() -> None:
        with pytest.raises(UserError, match=f"{name} is (no regular file|too large)"):
            mnist(tmp_path).pictures()
        ended.append(True)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout=120)
    assert ended


@pytest.mark.parametrize("damage", ["cut", "no header", "class 200", "fewer labels"])
def test_mnist_is_refused_by_a_message_when_its_files_are_damaged(tmp_path, damage):
    raw = fakes.mnist(tmp_path) / "MNIST" / "raw"
    images, labels = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:1000])
    elif damage == "no header":
        images.write_bytes(b"\xff" * 1000)
    elif damage == "class 200":
        labels.write_bytes(labels.read_bytes()[:-1] + b"\xc8")
    else:
        labels.write_bytes(labels.read_bytes()[:4] + bytes([0, 0, 0, 1, 5]))
    with pytest.raises(UserError, match=f"below {raw} (are damaged|do not fit)"):
        mnist(tmp_path).pictures()


@pytest.mark.parametrize("kind", ["postscript", "pipe", "good"])
def test_celeba_pictures_are_read_only_in_documented_formats(tmp_path, monkeypatch, kind):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    path = fakes.celeba(tmp_path) / "celeba" / "img_align_celeba" / "000001.jpg"
    if kind != "good":
        path.unlink()
    if kind == "postscript":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    elif kind == "pipe":
        os.mkfifo(path)
    opened = source(CelebA, tmp_path, "celeba/*.txt", "celeba", has_labels=False, split="train")
    pictures, real = opened.pictures()["train"], Image.open
    if kind == "good":
        assert read_picture(pictures, 0).size == (178, 218)
    else:
        with pytest.raises(UserError, match=r"train image 0 cannot be read \(is no "):
            read_picture(pictures, 0)
    assert not started
    assert Image.open is real


@pytest.fixture
def nothing_written(monkeypatch):
    """Fail a test that opens a file of a folder for writing, or makes a folder in it."""

    def below(folder):
        def refuse(path):
            if Path(os.fsdecode(path)).resolve().is_relative_to(folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        def wrapped(function, writes):
            def call(path, *args, **options):
                if not isinstance(path, int) and writes(*args, **options):
                    refuse(path)
                return function(path, *args, **options)

            return call

        def opens(mode="r", *_, **__):
            return mode.strip("bt") != "r"

        def flags(given, *_, **__):
            return given & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)

        monkeypatch.setattr("builtins.open", wrapped(open, opens))
        monkeypatch.setattr("io.open", wrapped(io.open, opens))
        monkeypatch.setattr(os, "open", wrapped(os.open, flags))
        for name in ("mkdir", "unlink", "rmdir", "utime", "rename", "replace"):
            monkeypatch.setattr(os, name, wrapped(getattr(os, name), lambda *_, **__: True))
        access = os.access
        monkeypatch.setattr(
            os, "access",
            lambda path, mode, **options: access(path, mode, **options)
            and not (mode & os.W_OK and Path(path).resolve().is_relative_to(folder)),
        )  # fmt: skip

    return below


def listing(folder):
    """Return everything below a folder, with the times of the last changes."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]


@pytest.mark.parametrize("make", [mnist, cifar10])
def test_nothing_is_written_beside_the_files_of_a_data_set(
    tmp_path, monkeypatch, nothing_written, make
):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "check_integrity", lambda *a, **k: True)
    root = tmp_path / "root"
    root.mkdir()
    fakes.mnist(root) if make is mnist else fakes.cifar(root, 10)
    before = listing(root)
    nothing_written(root)
    pictures = make(root).pictures()["train"]
    assert read_picture(pictures, 0).size in ((28, 28), (32, 32))
    assert listing(root) == before
    assert list((tmp_path / "cache" / "locks").glob("*.lock"))


def test_nothing_is_written_beside_the_files_of_a_folder(tmp_path, monkeypatch, nothing_written):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    folder = fakes.images(tmp_path / "photos", 6, classes=2)
    before = listing(folder)
    nothing_written(folder)
    pictures = ImageFolder(path=str(folder)).pictures()["train"]
    store = open_store(
        pictures, [3, 8, 8], kind="memory", memory_limit_gib=1.0, on_corrupt="error",
        background=WHITE,
    )  # fmt: skip
    assert len(store) == 6
    assert listing(folder) == before


@pytest.mark.parametrize("state", ["empty", "missing"])
def test_download_into_a_read_only_root_is_refused_in_one_message(
    tmp_path, monkeypatch, nothing_written, state
):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    above = tmp_path / "above"
    root = above / "root"
    (root if state == "empty" else above).mkdir(parents=True)
    nothing_written(above)
    with pytest.raises(UserError, match=r"nothing can be downloaded into it \(Read-only") as error:
        mnist(root).pictures()
    assert f"data.root={root}" in str(error.value)
    assert "data.root=DIR" in str(error.value)
    assert "hydra.run.dir" not in str(error.value)


def test_root_on_a_read_only_disk_is_read(tmp_path, monkeypatch, small_disk):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "root"
    small_disk(root, 10_000_000)
    fakes.mnist(root)
    mount = ["mount", "-o", "remount,ro", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be made read-only here")
    assert len(mnist(root).pictures()["train"]) == fakes.TRAIN
    with pytest.raises(UserError, match="nothing can be downloaded into it"):
        cifar10(root).pictures()
