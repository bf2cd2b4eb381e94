"""The benchmark: all programs do the same work, and the report states what was measured."""

import csv
import dataclasses
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import open_dict
from torch.utils.data import DataLoader

from limner.pixels import to_float
from limner.randomness import generator_for, seed_for
from limner.training import train as train_module
from support.runs import last_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import benchmark
from benchmarks import loop, players, race, template, tutorial
from benchmarks.cases import CASES, Case, Setup, compose_setup, make_networks
from benchmarks.images import load_images, save_images
from benchmarks.players import Player
from benchmarks.report import Result, ratio, verdicts

NUM_UPDATES, NUM_IMAGES, BATCH_SIZE = 4, 64, 16
MLP = ("network.encoder.hidden_dims=[32]", "network.decoder.hidden_dims=[32]")
DCGAN = ("network.generator.width=8", "network.discriminator.width=8")
SMALL = {
    "VAE": Case("vae", ("model=vae", "network=mlp", *MLP), (1, 8, 8), BATCH_SIZE),
    "GAN": Case("gan", ("model=gan", *DCGAN), (3, 16, 16), BATCH_SIZE),
}
PROGRAMS = {
    "VAE": (loop.VAELoop, tutorial.VAETutorial, template.VAETemplate),
    "GAN": (loop.GANLoop, tutorial.GANTutorial, template.GANTemplate),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a file of images for each small case."""
    folder = tmp_path_factory.mktemp("images")
    for name, case in SMALL.items():
        save_images(folder / f"{name}.npy", case.image_shape, num_images=NUM_IMAGES)
    return {name: folder / f"{name}.npy" for name in SMALL}


@pytest.fixture(scope="module")
def setups(files) -> dict[str, Setup]:
    """Read the numbers of each small case."""
    return {
        name: compose_setup(case, images=files[name], device="cpu") for name, case in SMALL.items()
    }


def seed_update(update: int) -> None:
    """Seed torch as limner does before each update."""
    torch.manual_seed(seed_for(0, "noise", update))


def batches(path: Path) -> list[torch.Tensor]:
    """Return the batches of limner's first epoch."""
    order = torch.randperm(NUM_IMAGES, generator=generator_for(0, "order", 0))
    images = to_float(torch.from_numpy(load_images(str(path))))
    return [images[indices] for indices in order.split(BATCH_SIZE)]


def trained_by_limner(composed, path: Path, case: Case, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights after some updates of a real run."""
    config = composed(
        *case.overrides(path), f"trainer.max_steps={NUM_UPDATES}", "logger=none",
        "accelerator=cpu",
    )  # fmt: skip
    folder.mkdir()
    config.run_dir = str(folder)
    with open_dict(config):
        train_module.train(train_module.prepare(config))
    return torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]


class SeedAndStop(L.Callback):
    """A callback that seeds each update and stops after NUM_UPDATES updates."""

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        seed_update(batch_idx)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        trainer.should_stop = batch_idx + 1 == NUM_UPDATES


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_program_does_the_same_work_as_limner(
    composed, files, setups, tmp_path, monkeypatch, name
):
    """From the same weights, images and noise, all programs arrive at the same weights."""
    expected = trained_by_limner(composed, files[name], SMALL[name], tmp_path / "run")
    setup = setups[name]
    labelled = DataLoader(
        [(images, torch.zeros(len(images))) for images in batches(files[name])],
        batch_size=None,
        generator=torch.Generator(),  # or it would draw from the noise generator
    )
    monkeypatch.setattr(loop, "_batches", lambda setup: iter(batches(files[name])))
    monkeypatch.setattr(tutorial, "make_loader", lambda setup: labelled)
    monkeypatch.setattr(template, "make_loader", lambda setup: labelled)
    monkeypatch.chdir(tmp_path)
    for program in PROGRAMS[name]:
        torch.manual_seed(0)
        networks = make_networks(setup)
        training_ = program(setup, *networks)
        if isinstance(training_, L.LightningModule):
            template.fit(setup, training_, SeedAndStop())
        else:
            updates = training_.updates()
            for update in range(NUM_UPDATES):
                seed_update(update)
                next(updates)
        prefixes = ("network.encoder", "network.decoder")
        prefixes = prefixes if name == "VAE" else ("generator", "discriminator")
        for prefix, network in zip(prefixes, networks, strict=True):
            for key, value in network.state_dict().items():
                # Fused optimizers round differently.
                torch.testing.assert_close(
                    value,
                    expected[f"{prefix}.{key}"],
                    rtol=1e-4,
                    atol=5e-5,
                    msg=lambda text, what=(program, key): f"{what}: {text}",
                )
        if program in (loop.VAELoop, loop.GANLoop):
            averaged = {
                k.removeprefix("ema.network."): v for k, v in expected.items() if "ema" in k
            }
            torch.testing.assert_close(
                dict(training_.ema.state_dict()), averaged, rtol=1e-4, atol=5e-5
            )


@pytest.mark.parametrize("name", SMALL)
def test_bare_loop_only_trains(setups, tmp_path, monkeypatch, name):
    """It trains the same weights as the loop, without an average and a file of losses."""
    monkeypatch.chdir(tmp_path)
    trained = {}
    for flags in ((), ("bare",)):
        torch.manual_seed(0)
        setup = dataclasses.replace(setups[name], flags=flags)
        networks = make_networks(setup)
        program = PROGRAMS[name][0](setup, *networks)
        average = next(program.ema.parameters())
        initial = average.clone()
        for _ in zip(range(3), program.updates(), strict=False):
            pass
        trained[flags] = [network.state_dict() for network in networks]
        assert torch.equal(average, initial) == (flags == ("bare",))
        assert Path("losses.csv").exists() == (flags == ())
        Path("losses.csv").unlink(missing_ok=True)
    for ours, bare in zip(trained[()], trained["bare",], strict=True):
        assert all(torch.equal(ours[key], bare[key]) for key in ours)


@pytest.mark.parametrize("name", SMALL)
def test_every_program_reads_each_image_once_per_epoch(files, setups, name):
    setup = setups[name]
    expected = torch.cat(batches(files[name])).flatten(1).sum(1).sort().values
    stream = loop._batches(setup)
    gathered = torch.cat([next(stream) for _ in range(NUM_IMAGES // BATCH_SIZE)])
    loaded = torch.cat([images for images, _ in tutorial.make_loader(setup)])
    for images in (gathered, loaded):
        assert images.dtype == torch.float32
        torch.testing.assert_close(images.flatten(1).sum(1).sort().values, expected)


# one case of each network and size; cases of another precision differ in nothing else
NETWORKS = {(case.choices, case.image_shape): case for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETWORKS.values(), ids=lambda case: case.name)
def test_every_benchmark_case_is_a_command_line_of_limner(case):
    with torch.device("meta"):
        setup = compose_setup(case, images=Path("none.npy"), device="cpu")
        networks = make_networks(setup)
        images = torch.zeros(2, *case.image_shape)
        code = torch.zeros(2, setup.values["latent_dim"])
        makes, judges = networks if setup.model == "GAN" else reversed(networks)
        assert makes(code).shape == images.shape
        assert len(judges(images)) == 2


MLP_CASE = next(case for case in CASES if case.name == "vae_mlp_28")


def result(opponent: str, seconds: list[float], case: Case = MLP_CASE, memory: int = 1) -> Result:
    return Result(case, opponent, seconds, 1.0, 1.0, 1.0, memory)


def test_ratio_does_not_depend_on_what_slows_both_programs():
    calm, busy = [1.0, 1.0, 1.0], [2.0, 20.0, 2.0]
    loops = result("loop", [c * b for c, b in zip(calm, busy, strict=True)])
    ours = result("limner", [1.25 * b for b in busy])
    assert ratio(ours, loops) == pytest.approx((1.25, 1.25, 1.25))


def test_verdicts_name_the_targets_that_are_met_and_missed():
    lines = verdicts([
        result("limner", [1.2], memory=100), result("loop", [1.0], memory=100),
        result("tutorial", [3.0]),
    ])  # fmt: skip
    assert lines == [
        "vae_mlp_28: limner / loop = 1.20, target <= 1.05: missed",
        "vae_mlp_28: memory, limner / loop = 1.00, target <= 1.10: met",
        "vae_mlp_28: tutorial / limner = 2.50, target >= 2.00: met",
    ]


@pytest.mark.parametrize(("seconds", "code"), [(1.4, 0), (1.6, 1)])
def test_quick_benchmark_fails_only_when_limner_is_much_slower(
    tmp_path, monkeypatch, seconds, code
):
    results = [result("limner", [seconds] * 3), result("loop", [1.0] * 3)]
    monkeypatch.setattr(benchmark.Race, "run", lambda race, case: results)
    monkeypatch.setattr(benchmark, "draw_picture", lambda *arguments, **options: None)
    words = ["--cases", "vae_mlp_28", "--to", str(tmp_path)]
    assert benchmark.main([*words, "--quick"]) == code
    assert benchmark.main(words) == 0


def test_failing_program_is_quoted(tmp_path, monkeypatch):
    broken = ["-c", "import sys; print('some words'); sys.exit(3)"]
    monkeypatch.setattr(players, "_arguments", lambda *a: broken)
    with pytest.raises(RuntimeError, match=r"(?s)loop ended with code 3.*some words"):
        Player(
            "loop", CASES[0], images=tmp_path, folder=tmp_path / "loop", device="cpu",
            num_threads=1,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("forking")  # .ci/run starts real processes
def test_limner_and_the_loop_take_turns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))  # the benchmark changes this variable
    monkeypatch.setattr(race, "NUM_DRAWN", 100)
    benchmark.main([
        "--quick", "--cases", "vae_mlp_28", "--rounds", "2", "--seconds", "0.02", "--images",
        "600", "--to", str(tmp_path / "out"), "--device", "cpu",
    ])  # fmt: skip
    with open(tmp_path / "out" / "benchmark.csv", newline="") as file:
        rows = {row["program"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["limner", "loop"]
    for row in rows.values():
        measured = {key: float(row[key]) for key in row if key not in ("case", "program")}
        assert min(measured.values()) > 0, measured
        assert measured["rounds"] == 2
    assert float(rows["loop"]["to_loop"]) == 1
    assert (tmp_path / "out" / "benchmark.png").stat().st_size > 1000
    assert "vae_mlp_28: limner / loop = " in capsys.readouterr().out
