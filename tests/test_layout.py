"""The layout of the package: few files per folder, short modules, and tests that mirror them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "limner"
TESTS = ROOT / "tests"
PAGES = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
DOCUMENTS = sorted(
    ["CONTRIBUTING.md", "README.md"]
    + [page for page in PAGES if "/generated/" not in page and "/_build/" not in page]
)
OF_THE_READER = ("my_conf/my_networks.py", "my_losses.py")
"""Files that a page tells its reader to write."""

GAN_STEP = (
    "models/gan.py", "models/adversarial.py", "models/optimization.py", "losses/adversarial.py",
)  # fmt: skip
"""The files that explain one training step of a GAN."""

NO_LOGIC = (
    "augmentations/degradations/protocols.py", "data/sequence_store.py", "errors.py",
    "interfaces.py", "models/gradients.py", "models/style_generator.py", "pixels.py",
)  # fmt: skip
"""Protocols, exceptions, options and short conversions, covered by tests of other modules."""

TESTED_THROUGH = {
    "config/test_build.py": ("config/own_code.py", "config/similar.py"),
    "config/test_config_files.py": ("config/file_content.py", "files/yaml_errors.py"),
    "conftest.py": ("cli.py",),  # The fixture `run` is a call of the command line.
    "callbacks/test_caption_scores.py": ("callbacks/captioned.py",),
    "metrics/test_matching.py": ("metrics/judges.py",),
    "callbacks/test_checkpoints.py": (
        "callbacks/checkpoint_io.py", "callbacks/measured.py", "callbacks/provenance.py",
    ),
    "callbacks/test_scores.py": ("callbacks/score_entries.py", "callbacks/score_names.py"),
    "test_sequence_vae_runs.py": (
        "callbacks/sequence_pictures.py", "commands/evaluate/of_sequences.py",
        "commands/sequence_files.py",
    ),
    "callbacks/test_frame_scores.py": ("callbacks/predictions.py", "runs/frame_tables.py"),
    "test_prediction_runs.py": (
        "commands/evaluate/of_frames.py", "commands/predict_frames.py",
        "pretrained/video_transform.py",
    ),
    "callbacks/test_strips.py": ("callbacks/strip_tiles.py",),
    "callbacks/test_automatic_optimization.py": (
        "callbacks/clipping.py", "models/lightning_internals/gradient_accumulation.py",
    ),
    "models/test_plain_trainer.py": (
        "models/adversarial_checks.py", "models/adversarial_inputs.py",
        "models/lightning_internals/reporting.py",
    ),
    "callbacks/test_latent_pictures.py": ("callbacks/validation_images.py",),
    "commands/compare/test_blind.py": ("commands/compare/tiles.py",),
    "commands/compare/test_command.py": (
        "commands/compare/pictures.py", "commands/compare/protocols.py",
        "commands/compare/runs.py", "commands/compare/tables.py",
    ),
    "commands/compare/test_names.py": ("commands/compare/texts.py",),
    "commands/compare/test_odd_runs.py": ("commands/compare/records.py",),
    "commands/evaluate/test_command.py": (
        "commands/evaluate/entries.py", "commands/evaluate/likelihood.py",
        "commands/evaluate/measures.py", "commands/evaluate/subject.py",
    ),
    "commands/search/test_command.py": (
        "commands/search/results.py", "commands/search/space.py", "commands/search/storages.py",
        "commands/search/studies.py", "commands/search/workers.py",
    ),
    "commands/sweep/test_command.py": ("commands/sweep/records.py",),
    "commands/sweep/test_slurm.py": (
        "commands/sweep/slurm_job.py", "commands/sweep/slurm_queue.py",
    ),
    "commands/test_python.py": (
        "commands/in_process.py", "commands/results.py", "commands/train.py",
    ),
    "commands/test_parser.py": ("commands/options.py",),
    "commands/test_export.py": ("commands/model_card.py", "commands/onnx.py"),
    "commands/test_transform.py": ("commands/picture_files.py",),
    "pretrained/test_trained_model.py": (
        "pretrained/arrays.py", "pretrained/chosen_labels.py", "pretrained/code_paths.py",
        "pretrained/draws.py",
    ),
    "commands/test_sample.py": (
        "commands/latent_walks.py", "commands/progress_frames.py", "commands/sample_files.py",
    ),
    "data/test_captioned_folder.py": ("data/caption_files.py",),
    "data/test_captioned_module.py": ("data/picture_texts.py", "data/several_captions.py"),
    "data/test_hostile_files.py": ("data/files.py",),
    "data/test_torchvision_source.py": ("data/distrust.py",),
    "data/test_vocabulary.py": ("data/hub_tokens.py",),
    "metrics/test_gan_train.py": ("metrics/training.py",),
    "metrics/test_kid.py": ("metrics/feature_buffer.py",),
    "metrics/test_reference.py": ("metrics/weights.py",),
    "models/test_gan.py": (
        "models/adversarial.py", "models/optimization.py", "models/standing_statistics.py",
    ),
    "models/test_lightning_internals.py": ("models/lightning_internals/counting.py",),
    "models/test_overridden_hooks.py": ("models/lightning_internals/overridden.py",),
    "models/test_second_stages.py": (
        "models/code_prior.py", "models/latent_prior.py", "models/vqvae.py",
        "pretrained/first_stage.py",
    ),
    "models/test_vae.py": ("losses/objectives.py", "models/variational.py"),
    "models/test_vaegan.py": ("files/downloaded_weights.py",),
    "networks/test_networks.py": (  # every network with every shape
        "networks/conv.py", "networks/dcgan.py", "networks/mlp.py",
    ),
    "networks/test_pixelcnn.py": ("networks/gated_stacks.py",),
    "networks/test_conditions.py": ("networks/learned_constant.py",),
    "networks/test_priors.py": ("networks/flow.py",),
    "networks/test_residual.py": ("networks/residual_blocks.py",),
    "networks/test_restorers.py": (  # every network for image-to-image models
        "networks/edsr.py", "networks/nafnet.py", "networks/span.py", "networks/srresnet.py",
    ),
    "networks/test_translators.py": (  # the networks of pix2pix and CycleGAN
        "networks/doubling.py", "networks/johnson.py", "networks/patch.py", "networks/unet.py",
    ),
    "pretrained/test_load.py": ("pretrained/hub.py",),
    "pretrained/test_strange_weights.py": ("pretrained/bounded_build.py", "pretrained/weights.py"),
    "resume/test_start.py": ("resume/find_run.py",),
    "runs/test_checkpoints.py": ("runs/newest_checkpoint.py",),
    "runs/test_folder.py": ("callbacks/heartbeat.py", "training/finish.py"),
    "strangers/test_classes.py": ("pretrained/refusals.py", "pretrained/roles.py"),
    "strangers/test_evaluated_folders.py": (
        "commands/evaluate/curves.py", "commands/evaluate/of_runs.py",
    ),
    "strangers/test_resumed_folders.py": ("resume/saved_config.py", "resume/foreign_classes.py"),
    "test_configs.py": ("config/schema.py",),
    "test_interruptions.py": (
        "callbacks/epochs.py", "launch/watchdog.py", "models/lightning_internals/fit_loop.py",
        "training/progress.py",
    ),
    "test_measured_values.py": (
        "callbacks/reports.py", "models/lightning_internals/epoch_loop.py",
    ),
    "test_mistakes.py": (  # every message of a refusal
        "config/error_messages.py", "runs/shortages.py",
    ),
    "networks/test_transfer.py": ("models/parameter_groups.py",),
    "test_training.py": (
        "runs/records.py", "training/run.py",
        "training/train.py", "training/trainer.py",
    ),
    "training/test_own_parts.py": ("training/tried_part.py",),
    "training/test_further_processes.py": ("models/lightning_internals/launcher.py",),
    "training/test_fit.py": ("callbacks/rollbacks.py", "warn_once.py"),
}  # fmt: skip
"""Tests of a whole command or run, and modules that only have a meaning in one."""


def modules() -> list[str]:
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(path.as_posix() for path in files if path.name != "__init__.py")


def mirror(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


def num_lines(module: str) -> int:
    return len((PACKAGE / module).read_text().splitlines())


def test_every_module_has_its_tests():
    elsewhere = [module for covered in TESTED_THROUGH.values() for module in covered]
    exempt = {*elsewhere, *NO_LOGIC}
    assert len(exempt) == len(elsewhere) + len(NO_LOGIC), "a module is listed twice"
    missing = [m for m in modules() if not mirror(m).exists() and m not in exempt]
    assert not missing, f"write tests/.../test_X.py for {missing}, or name where they are tested"
    stale = [m for m in exempt if m not in modules() or mirror(m).exists()]
    assert not stale, f"no longer exempt: {stale}"
    gone = [name for name in TESTED_THROUGH if not (TESTS / name).exists()]
    assert not gone


def test_package_has_few_files_at_its_top():
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len([path for path in entries if path.suffix == ".py"]) <= 12
    assert len([path for path in entries if path.is_dir()]) <= 16


def test_modules_are_short():
    long = {module: num_lines(module) for module in modules() if num_lines(module) > 300}
    assert not long


def test_gan_step_is_read_in_four_short_files():
    assert sum(map(num_lines, GAN_STEP)) < 500


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_only_files_and_tests_that_exist(document):
    """A path may leave out its first folders."""
    sources = [
        path
        for name in ("src", "tests", "scripts", "examples")
        for path in (ROOT / name).rglob("*.py")
    ]
    files = {f"/{path.relative_to(ROOT).as_posix()}" for path in [*sources, ROOT / "train.py"]}
    tests = "\n".join(path.read_text() for path in TESTS.rglob("*.py"))
    names = set(re.findall(r"def (test_\w+)", tests)) | {Path(file).stem for file in files}
    text = (ROOT / document).read_text()
    paths = {path for path in re.findall(r"[\w/]+\.py\b", text) if path not in OF_THE_READER}
    gone = [
        path for path in paths if not any(file.endswith(f"/{path.lstrip('/')}") for file in files)
    ]
    gone += sorted(set(re.findall(r"(?<![.\w])test_\w+", text)) - names)
    assert not gone


def test_no_document_or_config_has_a_marker_of_a_merge_conflict():
    conf = sorted((ROOT / "conf").rglob("*.yaml"))
    for path in [*(ROOT / name for name in DOCUMENTS), ROOT / "CHANGELOG.md", *conf]:
        assert not re.search(r"^(<{7}|>{7}) ", path.read_text(), re.MULTILINE), path
