"""Penalties of the generator: when they are due, their micro-batches, and values not finite."""

import pytest
import torch

from limner.config.build import build
from limner.models.adversarial import Inputs
from limner.models.gradients import Gradients
from limner.models.optimization import micro_batches
from support import runs
from support.runs import last_checkpoint

TINY = [
    *(f"network.{part}.{key}=8" for part in ("generator", "discriminator")
      for key in ("width", "max_width")),
    "network.generator.style_dim=8", "network.generator.num_mapping_layers=2",
    "network.discriminator.num_mapping_layers=2",
]  # fmt: skip
PATH = ["model=gan", "network=stylegan2", "model/penalty=[r1,path_length]", *TINY]


@pytest.fixture
def model(composed):
    return build(composed(*PATH, "model.penalty.path_length.function.shrink=1"), "model")


def inputs_for(model, num_images=8):
    images = torch.rand(num_images, 1, 8, 8) * 2 - 1
    z, none = torch.randn(num_images, model.num_normal), torch.zeros(num_images, 0)
    return Inputs(images, None, z, none, none, none)


def in_parts(model, inputs, number, monkeypatch, *, update=0):
    """Return the mean of each value over micro-batches, after the step of an update."""
    model.gradients = Gradients(max_norm=None, accumulate=number)
    monkeypatch.setattr(type(model), "global_step", update)
    model.noise.start(3, rank=0, world_size=1)
    model.generator_penalties.begin(model, inputs)
    parts = [Inputs._make(part) for part in micro_batches(model.gradients, *inputs)]
    values = [model.generator_penalties(part) for part in parts]
    model.generator_penalties.finish()
    return {name: sum(v[name] for v in values) / number for name in values[0]}


def test_path_length_is_due_in_every_fourth_update_and_weighs_four_times(model, monkeypatch):
    inputs, penalty = inputs_for(model), model.penalty["path_length"]
    found = [in_parts(model, inputs, 1, monkeypatch, update=update) for update in range(5)]
    assert [set(values) for values in found] == [{"penalty_path_length"}, *[set()] * 3,
                                                 {"penalty_path_length"}]  # fmt: skip
    penalty.function.mean.fill_(0.5)
    before = in_parts(model, inputs, 1, monkeypatch)
    penalty.function.mean.fill_(0.5)
    penalty.weight = 1.0
    after = in_parts(model, inputs, 1, monkeypatch)
    torch.testing.assert_close(2 * after["penalty_path_length"], before["penalty_path_length"])
    assert "path_length" not in model.penalty.factors(step=0, update=0)


def test_micro_batches_give_the_penalty_and_the_average_of_the_whole_batch(model, monkeypatch):
    inputs, function = inputs_for(model), model.penalty["path_length"].function
    function.observe(torch.tensor([0.4]))
    state, results = {k: v.clone() for k, v in function.state_dict().items()}, []
    for number in (1, 4):
        function.load_state_dict(state)
        values = in_parts(model, inputs, number, monkeypatch)
        results.append([values["penalty_path_length"], function.mean.clone()])
    torch.testing.assert_close(results[0], results[1])


def test_penalty_reads_only_the_first_images_of_a_batch(model, monkeypatch):
    function = model.penalty["path_length"].function
    function.shrink = 2
    inputs = inputs_for(model)
    changed = inputs._replace(z=torch.cat([inputs.z[:4], torch.randn_like(inputs.z[4:])]))
    found = []
    for each in (inputs, changed, inputs._replace(z=inputs.z.flip(0))):
        function.num_steps.zero_()
        function.observe(torch.tensor([0.4]))
        found.append(in_parts(model, each, 1, monkeypatch)["penalty_path_length"].item())
    assert found[0] == found[1] > 0
    assert found[0] != found[2]


def test_value_that_is_not_finite_is_left_out_with_one_warning(model, monkeypatch, caplog):
    inputs, function = inputs_for(model), model.penalty["path_length"].function
    function.observe(torch.tensor([0.4]))
    broken = inputs._replace(z=inputs.z.clone())
    broken.z[0] = torch.inf
    for _ in range(2):
        values = in_parts(model, broken, 1, monkeypatch)
        assert values["penalty_path_length"] == 0
        assert not values["penalty_path_length"].requires_grad
    assert function.mean == pytest.approx(0.4)
    assert sum("not finite" in record.message for record in caplog.records) == 1
    assert in_parts(model, inputs, 1, monkeypatch)["penalty_path_length"] > 0


def test_gradient_of_the_path_length_reaches_the_generator(model, monkeypatch):
    inputs = inputs_for(model)
    model.penalty["path_length"].function.observe(torch.tensor([5.0]))
    in_parts(model, inputs, 1, monkeypatch)["penalty_path_length"].backward()
    without = {n for n, p in model.generator.named_parameters() if p.grad is None}
    # what is added to maps behind the last activation does not change the Jacobian
    assert without == {n for n, _ in model.generator.named_parameters() if n.startswith("to_image")
                       and n.endswith(".bias") and "affine" not in n}  # fmt: skip


def test_generator_without_styles_is_refused(composed):
    with pytest.raises(Exception, match=r"path_length needs a generator of styles: .*stylegan2"):
        build(composed("model=gan", "network=dcgan", "model/penalty=path_length"), "model")


def test_average_of_the_path_length_is_saved_and_logged(tmp_path):
    folder = runs.trained(
        tmp_path, *PATH, "logger=csv", "callbacks.log.every_num_updates=1", "trainer.max_steps=5",
        "data.batch_size=8",
    )  # fmt: skip
    saved = torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]
    assert saved["penalty.path_length.function.mean"] > 0
    assert saved["penalty.path_length.function.num_steps"] == 2
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("train/penalty_path_length")
    assert [bool(row.split(",")[column]) for row in rows] == [True, False, False, False, True]
