"""A choice of model/condition that is for another kind of model, or does nothing, is refused."""

import pytest

from limner.errors import UserError
from limner.training.conditions import refuse_condition, refuse_lone_texts
from limner.training.validation import refuse_parts


def test_texts_of_a_vae_and_of_a_gan_are_not_exchanged(composed):
    with pytest.raises(UserError, match=r"text_vae is for VAEs.*\nchoose text\."):
        refuse_condition(composed("model=gan", "model/condition=text_vae", "data=shapes"))
    with pytest.raises(UserError, match=r"=text is for disc.*\nchoose text_vae\."):
        refuse_condition(composed("model=vae", "model/condition=text", "data=shapes"))
    refuse_condition(composed("model=gan", "model/condition=text", "data=shapes"))
    refuse_condition(composed("model=vae", "model/condition=text_vae", "data=shapes"))


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 1), (4, 4)])
def test_micro_batches_of_one_text_are_refused(composed, batch_size, accumulate):
    words = [f"data.batch_size={batch_size}", f"gradients.accumulate={accumulate}", "data=shapes"]
    of_texts = ["model=gan", "model/condition=text", *words]
    numbers = rf"data\.batch_size={batch_size} and gradients\.accumulate={accumulate}: "
    with pytest.raises(UserError, match=numbers) as error:
        refuse_parts(composed(*of_texts))
    assert max(map(len, str(error.value).splitlines())) <= 80
    weights = [f"model.auxiliary.{name}_weight=0" for name in ("mismatch", "contrastive")]
    refuse_parts(composed(*of_texts, *weights, "model.auxiliary.generator_weight=0"))
    refuse_parts(composed("model=gan", *words))


def test_micro_batches_of_two_texts_are_accepted(composed):
    words = ["model=gan", "model/condition=text", "data=shapes", "data.batch_size=4"]
    refuse_lone_texts(composed(*words, "gradients.accumulate=2"))
