"""The encoder of texts reads words, and no padding."""

import pytest
import torch

from limner.networks.text import TextEncoder

NUM_BLOCKS = [0, 2]
TEXTS = torch.tensor([[2, 3, 4, 0, 0, 0], [4, 3, 2, 0, 0, 0], [5, 0, 0, 0, 0, 0], [0] * 6])


def encoder(num_blocks=2):
    torch.manual_seed(0)
    sizes = {"num_tokens": 7, "length": 6, "code_dim": 5, "width": 8, "num_heads": 2}
    made = TextEncoder(**sizes, num_blocks=num_blocks)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return made


@pytest.mark.parametrize("num_blocks", NUM_BLOCKS)
def test_padding_does_not_change_a_code(num_blocks):
    made = encoder(num_blocks)
    full = made(TEXTS)
    for length in (3, 4, 5):
        torch.testing.assert_close(made(TEXTS[:, :length]), full, atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_blocks", NUM_BLOCKS)
def test_codes_have_length_one_and_a_text_without_words_has_a_finite_code(num_blocks):
    codes = encoder(num_blocks)(TEXTS)
    assert codes.shape == (4, 5)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("num_blocks", NUM_BLOCKS)
def test_the_order_of_words_matters_only_to_attention(num_blocks):
    first, other, *_ = encoder(num_blocks)(TEXTS)
    assert torch.allclose(first, other, atol=1e-5) == (num_blocks == 0)


@pytest.mark.parametrize("num_blocks", NUM_BLOCKS)
def test_the_code_depends_on_each_word_and_gradients_reach_every_parameter(num_blocks):
    made = encoder(num_blocks)
    codes = made(TEXTS)
    for place in range(3):
        changed = TEXTS.clone()
        changed[0, place] = 6
        difference = (made(changed) - codes).abs().amax(1)
        assert difference[0] > 1e-3
        assert difference[1:].max() == 0, "the texts of a batch are independent"
    (codes * torch.randn_like(codes)).sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"model\.text\.width=9"):
        TextEncoder(num_tokens=7, length=6, code_dim=5, width=9, num_blocks=1, num_heads=2)
