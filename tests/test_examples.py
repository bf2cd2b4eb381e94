"""Each example trains with the command of examples/README.md, and the notebook runs to its end."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import limner

EXAMPLES = Path(__file__).parents[1] / "examples"
README = (EXAMPLES / "README.md").read_text()
COMMANDS = re.findall(r"`python train\.py (--config-dir examples/.+?)`", README)
NEW = [command for command in COMMANDS if "resume=" not in command]
SHORT = [
    "trainer.max_steps=2", "accelerator=cpu", "logger=none", "~callbacks.codes",
    "~callbacks.pictures", "data.batch_size=8",
]  # fmt: skip
NO_SCORES = ["metrics=none"]


def words_of(command):
    """Return the words of a command, with the folder of the examples relative to this folder."""
    return shlex.split(command.replace("examples/", f"{EXAMPLES}/"))


@pytest.fixture(autouse=True)
def _forget_modules(monkeypatch):
    """Restore Python's search path and modules."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    for name in ("my_network", "my_loss", "my_data", "my_features"):
        sys.modules.pop(name, None)


def test_readme_of_examples_names_every_example():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert {re.search(r"examples/(\w+)", command)[1] for command in NEW} == folders


@pytest.mark.parametrize("example", ["own_data", "own_metric"])
def test_page_of_parts_includes_every_file_of_the_example(example):
    page = EXAMPLES.parent / "docs" / "howto" / "parts.md"
    included = re.findall(r"^```\{literalinclude\} (\S+)$", page.read_text(), re.M)
    files = {f for f in (EXAMPLES / example).rglob("*") if f.suffix in (".py", ".yaml")}
    assert files <= {(page.parent / path).resolve() for path in included}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(c, marks=[] if "network=my" in c or "data=" in c else [pytest.mark.slow])
        for c in NEW
    ],
)
def test_each_example_trains(run, command):
    words = words_of(command)
    scores = ["metrics.num_samples=50"] if "metrics=" in command else NO_SCORES
    result = run(*words, *SHORT, *scores)
    assert result.code == 0, (result.out, result.err)
    if "metrics=" in command:
        assert "val/fid_coarse" in result.out
    if (
        "own_data" in command
    ):  # one example suffices: a resume finds the modules of all examples with the same code
        resumed = run(*words[:2], f"resume={result.only_run()}", "trainer.max_steps=3")
        assert resumed.code == 0, (resumed.out, resumed.err)


def test_example_trains_from_python_and_its_model_samples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = limner.train(
        "network=my_network", "model=gan", *SHORT, *NO_SCORES,
        config_dir=EXAMPLES / "own_network",
    )  # fmt: skip
    assert trained.model.sample(2).shape == (2, 8, 8, 1)
    with pytest.raises(limner.UserError, match="config_dir=DIR"):
        limner.train(f"resume={trained.folder}", "trainer.max_steps=3")


def test_config_dir_hides_no_module_of_python(run, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "statistics.py").write_text("raise RuntimeError('hidden')\n")
    sys.modules.pop("statistics", None)
    result = run("--config-dir", "own", *SHORT, *NO_SCORES, "network=mlp")
    assert result.code == 0, result.err
    assert str(own) == sys.path[-1]
    import statistics

    assert statistics.mean([1, 3]) == 2


FEATURES = """
class Features:
    suffix = "_x"
    def to(self, device): ...
    def prepare(self, real): ...
    def __call__(self, images): ...
"""
SCORES = """
defaults: [base/scores@_here_]
_target_: limner.callbacks.scores.Scores
features: {{_target_: {module}.Features}}
objective: {{name: val/fid_x, mode: min}}
"""
DATA = """
defaults: [base/images@_here_, augmentation: none]
name: x
image_shape: [1, 8, 8]
num_classes: 2
source: {{_target_: {module}.Empty}}
"""
LOSS = """
class Half:
    def generator(self, real_logits, fake_logits):
        return fake_logits
"""
BROKEN = {
    "loss": (LOSS, "model/loss", "_target_: {module}.Half", "discriminator() AdversarialLoss"),
    "source": ("class Empty: ...", "data", DATA, "pictures() limner.data.sources.Source"),
    "method": (FEATURES, "metrics", SCORES, "metrics.features: protocol() FeatureExtractor"),
    "attribute": (
        FEATURES + "    def protocol(self): ...",
        "metrics",
        SCORES,
        "metrics.features: num_features FeatureExtractor",
    ),
    "role": ("", "network", "generator: {{_target_: torch.nn.Identity}}", "network discriminator"),
}
"""Each mistake as its code, the group of its option, the option, and words of the message."""


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_part_without_a_method_is_named_before_training(run, tmp_path, kind):
    code, group, text, expected = BROKEN[kind]
    module = f"broken_{kind}"
    file = tmp_path / "own" / group / "broken.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text.format(module=module))
    (tmp_path / "own" / f"{module}.py").write_text(code)
    model = ["network=mlp"] if group == "model/loss" else []
    result = run("--config-dir", "own", *SHORT, "model=gan", *model, f"{group}=broken")
    sys.modules.pop(module, None)
    assert result.code == 1, result.out
    assert all(word in result.err for word in expected.split()), result.err
    assert not Path("outputs").exists()


@pytest.mark.slow  # The notebook's kernel imports everything again.
def test_notebook_runs_to_its_end(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = json.dumps(notebook)
    assert "did you mean vae" in shown
    assert "val/loss_generator" in shown
    assert "image/png" in shown


def test_notebook_is_stored_without_outputs():
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])
