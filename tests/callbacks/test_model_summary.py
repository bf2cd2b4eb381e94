"""The table of a model's parts at the start of training."""

WORDS = [
    "model=vae", "network=mlp", "metrics=none", "logger=none", "trainer.max_steps=1",
    "accelerator=cpu", "callbacks=model_summary", "~callbacks.pictures", "~callbacks.codes",
]  # fmt: skip


def test_model_summary_lists_parts_down_to_its_depth(run):
    result = run(*WORDS, "callbacks.model_summary.max_depth=1", "hydra.run.dir=a")
    assert result.code == 0, result.err
    assert "network" in result.out
    assert "network.encoder" not in result.out
    deeper = run(*WORDS, "callbacks.model_summary.max_depth=2", "hydra.run.dir=b")
    assert "network.encoder" in deeper.out
    resumed = run("resume=b", "trainer.max_steps=2")
    assert resumed.code == 0, resumed.err
    assert "network.encoder" in resumed.out


def test_model_summary_refuses_a_depth_of_0(run):
    result = run(*WORDS, "callbacks.model_summary.max_depth=0")
    assert result.code == 1
    assert "must be 1 or more, or -1" in result.err
