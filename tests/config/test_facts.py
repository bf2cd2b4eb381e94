from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from limner.config.build import check
from limner.config.facts import (
    fill_facts,
    keep_commit,
    refuse_kind_of_data,
    refuse_unfit_inputs,
    refuse_unlabelled,
    with_placeholders,
)
from limner.errors import UserError

COMMIT = "0123456789abcdef" * 2 + "01234567"


def test_fill_facts_writes_what_the_data_know():
    config = OmegaConf.create({"data": {"image_shape": None, "num_classes": None, "scale": 2}})
    fill_facts(config, SimpleNamespace(image_shape=[3, 8, 8], num_classes=0))
    assert config.data == {"image_shape": [3, 8, 8], "num_classes": 0, "scale": 2}


def test_network_that_reads_a_key_of_another_model_is_refused_with_networks_that_fit(composed):
    data = "data=restoration", "data.path=nowhere"
    with pytest.raises(UserError) as refused:
        check(composed("model=pix2pix", "network=johnson_styles", *data))
    first, second = str(refused.value).splitlines()
    assert first == "The chosen network reads model.styles, which this model lacks;"
    names = second.removeprefix("choose one of network=").split(", ")
    assert {"johnson", "unet", "srresnet"} <= {*names}
    assert not {"johnson_styles", "nafnet_holes", "dcgan"} & {*names}


@pytest.mark.parametrize("degradation", ["holes", "noise"])
def test_networks_that_fill_holes_are_offered_for_data_with_holes_only(composed, degradation):
    data = "data=restoration", f"data/degradation={degradation}", "data.path=nowhere"
    with pytest.raises(UserError, match="part restorer; choose one of network=") as refused:
        check(composed("model=restoration", "network=dcgan", *data))
    assert ("nafnet_holes" in str(refused.value)) == (degradation == "holes")
    assert "johnson_styles" not in str(refused.value)


PICTURES = ("data=pictures", "data.path=nowhere")


@pytest.mark.parametrize("model", ["pix2pix", "restoration", "srgan", "super_resolution"])
def test_model_that_compares_with_targets_is_refused_on_copies_of_targets(composed, model):
    with pytest.raises(UserError, match="equal ones; choose one of data=") as refused:
        refuse_unfit_inputs(composed(f"model={model}", *PICTURES))
    assert "pictures" not in str(refused.value).partition("one of")[2]
    refuse_unfit_inputs(composed(f"model={model}", *PICTURES, "data/degradation=[copy,noise]"))
    refuse_unfit_inputs(composed("model=pix2pix", "data=paired_folder", "data.path=nowhere"))


def test_style_transfer_is_accepted_on_pictures_and_refused_on_small_copies(composed):
    model = "model=style_transfer", "model.styles=[a.png]"
    refuse_unfit_inputs(composed(*model, *PICTURES))
    with pytest.raises(UserError, match=r"data.scale=4;\nchoose data=pictures$"):
        refuse_unfit_inputs(composed(*model, "data=super_resolution", "data.path=nowhere"))


@pytest.mark.parametrize(
    ("words", "fits"), [(["model=pix2pix"], False), (["model=style_transfer"], True)]
)
def test_pictures_are_offered_to_models_without_targets_only(composed, words, fits):
    with pytest.raises(UserError, match="reads an input") as refused:
        check(composed(*words, *(["model.styles=[a.png]"] if fits else []), "data=digits"))
    assert str(refused.value).endswith("choose data=pictures") == fits
    assert ("pictures" in str(refused.value).splitlines()[1]) == fits


def test_placeholders_allow_a_part_of_a_fact_to_be_read():
    config = OmegaConf.create(
        {
            "num_updates": None,
            "data": {"image_shape": [3, 8, 8], "input_shape": None},
            "model": "${data.input_shape[0]}",
        }
    )
    filled = with_placeholders(config)
    assert (filled.num_updates, filled.model, filled.data.image_shape) == (1, 1, [3, 8, 8])
    assert config.data.input_shape is None


@pytest.mark.parametrize("key", ["input_shape[0]", "scale"])
def test_model_that_reads_inputs_is_refused_on_data_without_with_the_options_that_fit(
    composed, key
):
    made = composed("model=vae", "data=digits")
    made.model.latent_dim = f"${{data.{key}}}"
    with pytest.raises(UserError, match=r"data=digits has none;\n.* data=.*restoration, .*super"):
        check(made)


@pytest.mark.parametrize(("scale", "fitting"), [(1, "blur, .*noise"), (2, r"resize, .*")])
def test_refuse_kind_of_data_names_the_degradations_that_fit(scale, fitting):
    model = SimpleNamespace(reads_input=True, scale=scale)
    data = SimpleNamespace(input_shape=[3, 8, 8], has_inputs=False)
    with pytest.raises(UserError, match=rf"none makes none; choose one of\n.*={fitting}"):
        refuse_kind_of_data(model, data)
    refuse_kind_of_data(model, SimpleNamespace(input_shape=[3, 8, 8]))
    refuse_kind_of_data(SimpleNamespace(), data)


@pytest.mark.parametrize(
    ("model", "what"),
    [("classifier", "model=classifier needs labels"), ("cgan", "This conditional model needs")],
)
def test_refuse_unlabelled_names_the_data_options_with_labels(composed, model, what):
    made = composed(f"model={model}", "data=restoration", "data.path=nowhere")
    with pytest.raises(UserError) as refused:
        refuse_unlabelled(made)
    message = str(refused.value)
    assert message.startswith(what)
    assert "data=restoration has none" in message
    assert all(name in message for name in ("cifar10", "image_folder", "shapes,"))
    assert "super_resolution" not in message
    refuse_unlabelled(composed(f"model={model}", "data=mnist"))
    refuse_unlabelled(composed("model=gan", "data=restoration", "data.path=nowhere"))


def test_model_of_two_domains_that_reads_a_missing_fact_is_refused_with_the_options_that_fit(
    composed,
):
    made = composed("model=vae", "data=digits")
    made.model = {"_target_": "support.domains.Translator", "channels": "${data.input_shape[0]}"}
    with pytest.raises(UserError, match=r"reads two domains.*\n.*data=shapes_styles, unpaired_f"):
        check(made)


IMAGES = {"name": "images"}
INPUTS = {"name": "inputs", "input_shape": [3, 8, 8]}
DOMAINS = {"name": "domains", "input_shape": [3, 8, 8], "domain": None}


@pytest.mark.parametrize(
    ("reads", "data", "message"),
    [
        ("reads_input", IMAGES, r"reads an input .* data=images has none;\n.* data=paired_folder"),
        ("reads_input", DOMAINS, r"reads an input .* data=domains has none"),
        ("reads_domains", IMAGES, r"reads two domains .* data=images has one;\n.*=shapes_styles"),
        ("reads_domains", INPUTS, r"reads two domains .* data=inputs has one"),
        ("neither", DOMAINS, r"reads one set of images, and data=domains has two"),
        ("reads_input", INPUTS, None),
        ("reads_domains", DOMAINS, None),
        ("neither", IMAGES, None),
        ("neither", INPUTS, None),
    ],
)
def test_refuse_kind_of_data_compares_what_a_model_reads(reads, data, message):
    model, data = SimpleNamespace(**{reads: True}), SimpleNamespace(**data)
    if message is None:
        refuse_kind_of_data(model, data)
        return
    with pytest.raises(UserError, match=message):
        refuse_kind_of_data(model, data)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"num_frames": 3}, r"model: num_frames=3, and the data have data\.num_frames=4"),
        ({"num_inputs": 1}, r"model: num_inputs=1, and the data have data\.num_inputs=2"),
        ({"network": SimpleNamespace(num_targets=5)}, r"network: num_targets=5"),
        (
            {"network": SimpleNamespace(decoder=SimpleNamespace(num_frames=9))},
            r"network: num_frames=9",
        ),
        ({"num_frames": 4, "network": SimpleNamespace(num_inputs=2)}, None),
    ],
)
def test_model_with_other_numbers_of_frames_than_the_data_is_refused(model, message):
    lengths = {"num_inputs": 2, "num_targets": 2, "num_frames": 4}
    data = SimpleNamespace(name="clips", has_frames=True, **lengths)
    if message is None:
        refuse_kind_of_data(SimpleNamespace(reads_frames=True, **model), data)
        return
    with pytest.raises(UserError, match=message):
        refuse_kind_of_data(SimpleNamespace(reads_frames=True, **model), data)


def test_conditional_model_of_sequences_is_offered_no_condition_only(composed):
    words = "model=sequence_vae", "model/condition=concat", "data=moving_shapes"
    with pytest.raises(UserError, match="choose model/condition=none") as refused:
        refuse_unlabelled(composed(*words))
    assert "data=cifar10" not in str(refused.value)


CAPTIONED = r"data=captioned, .*data=shapes data\.captions=true"


@pytest.mark.parametrize("data", [{}, {"has_text": False}])
def test_model_that_reads_texts_is_refused_on_data_without_captions(data):
    data = SimpleNamespace(name="digits", **data)
    with pytest.raises(
        UserError, match=rf"reads captions, and data=digits has none;\n.*{CAPTIONED}"
    ):
        refuse_kind_of_data(SimpleNamespace(reads_text=True), data)
    refuse_kind_of_data(SimpleNamespace(), SimpleNamespace(name="shapes", has_text=True))
    refuse_kind_of_data(SimpleNamespace(reads_text=True), SimpleNamespace(has_text=True))


def test_config_that_reads_a_fact_of_captions_is_refused_on_data_without(composed):
    made = composed("model=vae", "data=digits")
    made.model.latent_dim = "${data.num_tokens}"
    with pytest.raises(
        UserError, match=rf"reads captions, and data=digits has none;\n.*{CAPTIONED}"
    ):
        check(made)
    made = composed("model=vae", "data=shapes")
    refuse_unlabelled(made)
    made.network.decoder.width = "${data.num_tokens}"
    with pytest.raises(UserError, match="reads captions, and data=shapes has none"):
        refuse_unlabelled(made)
    made.data.num_tokens = 9
    refuse_unlabelled(made)


def test_fill_facts_writes_the_commit_of_a_repository():
    config = OmegaConf.create({"data": {"revision": "main"}})
    fill_facts(config, SimpleNamespace(source=SimpleNamespace(commit=None)))
    assert config.data.revision == "main"
    fill_facts(config, SimpleNamespace(source=SimpleNamespace(commit=COMMIT)))
    assert config.data.revision == COMMIT
    fill_facts(other := OmegaConf.create({"data": {}}), SimpleNamespace(source=COMMIT))
    assert other == {"data": {}}


@pytest.mark.parametrize(
    ("data", "before", "found"),
    [
        ({"revision": "main"}, {"path": "a/b", "revision": COMMIT}, COMMIT),
        ({"revision": None}, {"path": "a/b", "revision": COMMIT}, COMMIT),
        ({"revision": None}, {"path": "a/c", "revision": COMMIT}, None),
        ({"revision": "main"}, {"path": "a/b", "revision": None}, "main"),
        ({"revision": "main"}, {"path": "a/b", "revision": "../../x"}, "main"),
        ({"revision": "main"}, {"path": "a/b", "revision": ["x"]}, "main"),
        ({"revision": "main"}, {}, "main"),
        ({}, {"path": "a/b", "revision": COMMIT}, None),
    ],
)
def test_resumed_run_keeps_the_commit_of_the_same_repository(data, before, found):
    config = OmegaConf.create({"data": {"path": "a/b", **data}})
    keep_commit(config, before)
    assert config.data.get("revision") == found
