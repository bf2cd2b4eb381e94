"""A distribution over sequences: causal, normalised, and sampled according to it."""

import itertools

import pytest
import torch

from limner.networks.transformer import CausalTransformer

LENGTH, CODES = 6, 5


def made(*, num_codes=CODES, length=LENGTH, num_classes=None, dropout=0.0):
    network = CausalTransformer(
        num_codes=num_codes, length=length, width=16, num_layers=2, num_heads=2,
        dropout=dropout, num_classes=num_classes,
    )  # fmt: skip
    for parameter in network.parameters():  # weights far from the nearly uniform start
        torch.nn.init.normal_(parameter, std=0.7)
    return network


def test_transformer_logits_do_not_depend_on_the_same_or_later_codes():
    network, codes = made(), torch.randint(CODES, (3, LENGTH))
    logits = network(codes)
    assert logits.shape == (3, LENGTH, CODES)
    for position in range(LENGTH):
        changed = codes.clone()
        changed[:, position] = (changed[:, position] + 1) % CODES
        difference = (network(changed) - logits).abs().amax((0, 2))
        assert (difference[: position + 1] == 0).all()
        assert (difference[position + 1 :] > 1e-3).all(), "a later logit is the same"


@pytest.mark.parametrize("num_classes", [None, 4])
def test_gradient_reaches_every_parameter_of_the_transformer(num_classes):
    network = made(num_classes=num_classes)
    labels = None if num_classes is None else torch.arange(4).repeat(5)
    network.log_prob(torch.randint(CODES, (20, LENGTH)), labels).sum().backward()
    assert all(p.grad.any() for p in network.parameters())


def every_sequence(num_codes, length):
    return torch.tensor(list(itertools.product(range(num_codes), repeat=length)))


def test_transformer_probabilities_of_all_sequences_sum_to_one():
    network = made(num_codes=3, length=4)
    total = network.log_prob(every_sequence(3, 4)).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_transformer_samples_follow_the_probabilities(temperature):
    """This also tests the cache: with wrong keys in the cache, the frequencies would differ."""
    network = made(num_codes=3, length=3)
    generator = torch.Generator().manual_seed(0)
    drawn = network.sample(20_000, temperature=temperature, top_k=None, generator=generator)
    every = every_sequence(3, 3)
    logits = network(every) / temperature
    p = logits.log_softmax(2).gather(2, every[:, :, None]).sum((1, 2)).exp()
    places = torch.tensor([9, 3, 1])
    found = torch.bincount((drawn * places).sum(1), minlength=27) / 20_000
    assert ((found - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-4).all()
    assert p.max() > 0.1


def test_transformer_draws_only_the_likeliest_codes():
    network = made()
    codes = network.sample(200, temperature=1.0, top_k=2)
    ranks = (network(codes) > network(codes).gather(2, codes[:, :, None])).sum(2)
    assert ranks.max() == 1
    greedy = network.sample(3, temperature=1.0, top_k=1)
    assert torch.equal(greedy, network(greedy).argmax(2))
    assert torch.equal(
        network.sample(9, temperature=1.0, top_k=CODES, generator=torch.Generator()),
        network.sample(9, temperature=1.0, top_k=None, generator=torch.Generator()),
    )


def test_transformer_depends_on_the_class_and_requires_it():
    network, codes = made(num_classes=4), torch.randint(CODES, (2, LENGTH))
    assert not torch.allclose(
        network.log_prob(codes, torch.tensor([0, 0])),
        network.log_prob(codes, torch.tensor([1, 2])),
    )
    labels = torch.arange(4)
    assert network.sample(4, temperature=1.0, top_k=None, labels=labels).shape == (4, LENGTH)
    with pytest.raises(ValueError, match="needs labels, but got none"):
        network.log_prob(codes)


def test_transformer_uses_dropout_only_in_training():
    network, codes = made(dropout=0.5), torch.randint(CODES, (2, LENGTH))
    assert not torch.equal(network(codes), network(codes))
    network.eval()
    assert torch.equal(network(codes), network(codes))


@pytest.mark.slow
def test_transformer_learns_a_rule_over_a_distance():
    """The second half repeats the first half, so that only the first half costs nats."""
    network = CausalTransformer(
        num_codes=4, length=4, width=32, num_layers=2, num_heads=2, dropout=0.0, num_classes=None
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(200):
        half = torch.randint(4, (32, 2))
        optimizer.zero_grad()
        loss = -network.log_prob(torch.cat([half, half], dim=1)).mean()
        (loss / 4).backward()
        optimizer.step()
    assert loss.item() == pytest.approx(2 * torch.tensor(4.0).log().item(), abs=0.4)
    codes = network.sample(100, temperature=1.0, top_k=None)
    assert (codes[:, :2] == codes[:, 2:]).float().mean() > 0.95


@pytest.mark.parametrize(
    ("changed", "key"), [({"width": 15}, "width=15"), ({"num_classes": 0}, "num_classes=0")]
)
def test_transformer_refuses_invalid_values(changed, key):
    arguments = {"width": 16, "num_classes": None, **changed}
    with pytest.raises(ValueError, match=key):
        CausalTransformer(
            num_codes=4, length=4, num_layers=1, num_heads=2, dropout=0.0, **arguments
        )
