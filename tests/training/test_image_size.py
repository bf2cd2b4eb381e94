"""The cost of an image size that the user did not choose is reported, or the size is refused."""

import pytest
import torch
from PIL import Image
from torch import nn

from limner.errors import UserError
from limner.training.image_size import judge_image_size


def model(num_parameters):
    made = nn.Module()
    made.weight = nn.Parameter(torch.empty(num_parameters, device="meta"))
    return made


def test_judge_image_size_reports_the_cost_of_a_large_size(caplog):
    judge_image_size(model(1000), [3, 320, 480])
    (record,) = caplog.records
    told = record.getMessage()
    assert "480x320" in told
    assert "38 times" in told
    assert "1,000 parameters" in told
    assert "data.image_shape=[3,64,64]" in told
    assert max(map(len, told.splitlines())) <= 80


def test_judge_image_size_reports_nothing_for_small_pictures(caplog):
    judge_image_size(model(10**9), [3, 128, 128])
    assert not caplog.records


def test_judge_image_size_refuses_a_huge_model():
    with pytest.raises(UserError, match="300,000,001 parameters"):
        judge_image_size(model(300_000_001), [1, 256, 256])


@pytest.mark.slow
def test_train_reports_the_cost_of_photos_and_asks_for_a_shape_when_sizes_differ(run, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(20):
        Image.new("RGB", (200, 140), (i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    words = ["data=image_folder", "data.path=photos", "data.batch_size=4", "network=mlp"]
    words += ["metrics=none", "~callbacks.pictures", "~callbacks.codes", "trainer.max_steps=1"]
    words += [f"network.{part}.hidden_dims=[4]" for part in ("encoder", "decoder")]
    words += ["trainer.limit_val_batches=0", "hydra.run.dir=run"]
    first = run(*words)
    assert first.code == 0
    assert "Training on 200x140 pixels" in first.out
    chosen = run(*words[:-1], "data.image_shape=[3,140,200]")
    assert "Training on 200x140" not in chosen.out
    Image.new("RGB", (140, 200)).save(tmp_path / "photos" / "00.png")
    refused = run(*words[:-1])
    assert refused.code != 0
    assert refused.err.startswith("limner: data.image_shape=null")
    assert run("resume=run", "trainer.max_steps=2").err.startswith("limner: The training images")
