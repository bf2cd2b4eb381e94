"""A score states that its feature network trained the model."""

from torch import nn

from limner.metrics.trained_with import trained_with


class Learner(nn.Linear):
    """A part that learns from pretrained weights."""

    weights_sha256 = "abc"


def test_score_by_the_network_that_trained_the_model_states_it():
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(Learner(1, 1)))
    assert trained_with(model, {"weights_sha256": "abc"}) == {"trained_with_this_network": True}


def test_other_scores_state_nothing():
    assert trained_with(Learner(1, 1), {"weights_sha256": "def"}) == {}
    assert trained_with(Learner(1, 1), {}) == {}
    assert trained_with(nn.Linear(1, 1), {"weights_sha256": "abc"}) == {}
