from types import SimpleNamespace

from limner.config.options import model_options, options_with
from limner.models import VAE, ImageToImage


def test_options_with_names_the_files_that_have_a_key():
    group, _, names = options_with("data", "input_shape").partition("=")
    assert group == "data"
    assert {"paired_folder", "restoration", "super_resolution"} <= set(names.split(", "))
    assert "digits" not in names


def test_model_options_name_the_files_that_choose_the_class():
    options = model_options(object.__new__(ImageToImage))
    assert {"restoration", "super_resolution"} <= set(options.removeprefix("model=").split(", "))
    assert model_options(SimpleNamespace()) == ""


def test_model_options_name_the_files_that_build_on_another():
    options = set(model_options(object.__new__(VAE)).removeprefix("model=").split(", "))
    assert {"vae", "cvae", "draw", "rae"} <= options
    assert not options & {"gan", "sequence_vae", "vqvae"}, "classes of their own"
