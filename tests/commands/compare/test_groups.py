from limner.commands.compare.groups import grouped
from limner.commands.compare.runs import find
from support.fake_runs import make_run

LR_4 = {"optimizer.lr": 1e-4, "model.optimizer.lr": 1e-4}
GAN = {
    "model._target_": "limner.models.GAN",
    "model.width": 64,
    "optimizer.lr": 2e-4,
    "model.optimizer.lr": 2e-4,
}


def names(*folders):
    return [group.name for group in grouped(find([str(folder) for folder in folders]))]


def test_runs_that_differ_only_in_the_seed_are_one_group(tmp_path):
    folders = [make_run(tmp_path / str(seed), seed=seed) for seed in (0, 1, 2)]
    (group,) = grouped(find(folders))
    assert [run.seed for run in group.runs] == ["0", "1", "2"]
    assert group.name == "model=vae data=digits"


def test_run_with_a_fixed_data_seed_is_another_group(tmp_path):
    follows = make_run(tmp_path / "a", seed=1)
    fixed = make_run(tmp_path / "b", "data.seed=7", seed=2, values={"data.seed": 7})
    assert names(follows, fixed) == ["data.seed=the run's", "data.seed=7"]


def test_groups_are_named_by_choices_and_not_by_their_consequences(tmp_path):
    assert names(
        make_run(tmp_path / "a", "model=vae"),
        make_run(tmp_path / "b", "model=vae", "optimizer.lr=1e-4", values=LR_4),
        make_run(tmp_path / "c", "model=gan", values=GAN),
    ) == [
        "model=vae optimizer.lr=0.001",
        "model=vae optimizer.lr=0.0001",
        "model=gan optimizer.lr=0.0002",
    ]


def test_group_name_leaves_out_a_default_that_comes_with_the_model(tmp_path):
    runs = make_run(tmp_path / "a"), make_run(tmp_path / "b", "model=gan", values=GAN)
    assert names(*runs) == ["model=vae", "model=gan"]


def test_group_name_states_a_value_once_when_many_keys_read_it(tmp_path):
    wide = {"model.latent_dim": 16, "model.encoder.latent_dim": 16}
    runs = make_run(tmp_path / "a"), make_run(tmp_path / "b", values=wide)
    assert names(*runs) == ["model.latent_dim=8", "model.latent_dim=16"]


def test_group_name_states_both_typed_values_that_change_together(tmp_path):
    batch = {"data.batch_size": 32}
    runs = (
        make_run(tmp_path / "a", values={"data.batch_size": 64}),
        make_run(
            tmp_path / "b", "optimizer.lr=1e-4", "data.batch_size=32", values=LR_4 | batch
        ),
    )  # fmt: skip
    assert names(*runs)[1] == "data.batch_size=32 optimizer.lr=0.0001"


def test_group_name_states_a_class_that_was_set_by_hand(tmp_path):
    runs = [
        make_run(tmp_path / name, values={"model.likelihood._target_": f"limner.losses.{name}"})
        for name in ("Gaussian", "Bernoulli")
    ]
    assert names(*runs) == ["model.likelihood=Gaussian", "model.likelihood=Bernoulli"]


def test_folder_without_hydra_records_is_named_by_its_config(tmp_path):
    runs = make_run(tmp_path / "a"), make_run(tmp_path / "b", values=GAN)
    for folder in runs:
        (folder / ".hydra" / "hydra.yaml").unlink()
    assert names(*runs) == ["model=vae", "model=gan"]


def test_group_counts_one_of_two_runs_with_the_same_seed(tmp_path):
    runs = [make_run(tmp_path / name, seed=1) for name in ("a", "b")]
    (group,) = grouped(find(runs))
    assert [run.folder for run in group.runs] == [runs[1]]
    assert [run.folder for run in group.repeated] == [runs[0]]
