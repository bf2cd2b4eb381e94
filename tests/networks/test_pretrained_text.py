"""The encoder of texts by a frozen network, with a tiny network in the place of a real one."""

import copy
import sys
import types

import pytest
import torch
from torch import nn

from limner.networks.pretrained_text import PretrainedTextEncoder

TEXTS = torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0]])


class Tiny(nn.Module):
    """A network with the interface of transformers, whose states are those of each token."""

    config = types.SimpleNamespace(hidden_size=8)

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(9, 8), nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask):
        assert (attention_mask.sum(1) == (input_ids > 0).sum(1)).all()
        states = self.dropout(self.embedding(input_ids))
        return types.SimpleNamespace(last_hidden_state=states)


@pytest.fixture
def asked(monkeypatch):
    """Replace transformers, and return the names that were asked for."""
    names = []

    def from_pretrained(name, *, trust_remote_code):
        assert trust_remote_code is False
        if name == "missing":
            raise OSError("no such network\nand more lines")
        names.append(name)
        return Tiny()

    auto = types.SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(AutoModel=auto))
    return names


def encoder(name="owner/tiny", width=8):
    return PretrainedTextEncoder(vocabulary=f"hf:{name}", length=4, code_dim=5, width=width)


def test_codes_are_those_of_a_frozen_network_and_do_not_depend_on_padding(asked):
    made = encoder().train()
    codes = made(TEXTS)
    assert codes.shape == (2, 5)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(made(TEXTS), codes)  # no dropout in training either
    torch.testing.assert_close(made(TEXTS[:, :3]), codes)
    codes[:, 0].sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in made.parameters())
    assert asked == ["owner/tiny"]


def test_the_frozen_network_is_neither_saved_nor_copied(asked):
    made = encoder()
    made.load_pretrained()
    assert set(made.state_dict()) == {"norm.weight", "norm.bias", "code.weight", "code.bias"}
    copied = copy.deepcopy(made)
    torch.testing.assert_close(copied(TEXTS), made(TEXTS))
    assert len(asked) == 1


def test_mistakes_of_a_pretrained_encoder_are_stated(asked, monkeypatch):
    with pytest.raises(ValueError, match=r"model\.text\.width=9: .* size of 8"):
        encoder(width=9).load_pretrained()
    with pytest.raises(ValueError, match=r"hf:missing.*cannot be read \(no such network\)"):
        encoder("missing").load_pretrained()
    with pytest.raises(ValueError, match=r"data\.vocabulary=hf:NAME"):
        PretrainedTextEncoder(vocabulary="a red circle", length=4, code_dim=5, width=8)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'limner\[text\]'"):
        encoder().load_pretrained()


def test_a_random_bert_from_a_folder_gives_codes(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path)
    made = encoder(str(tmp_path))
    torch.testing.assert_close(made(TEXTS)[:, :3], made(TEXTS[:, :3])[:, :3], atol=1e-5, rtol=0)
