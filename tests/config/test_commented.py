"""`--cfg job` prints the config that Hydra composes, with the comments of the files in conf/."""

import contextlib
import io
import re
import sys

import pytest
import yaml

from limner import cli
from limner.config.commented import describe_file, with_comments
from limner.config.schema import CONFIG_DIR

WORDS = ["model=gan", "data=mnist", "network.generator.width=7"]


@pytest.fixture
def plain(run, monkeypatch):
    """Return what Hydra itself prints for the same words."""

    def command(*words):
        with monkeypatch.context() as patch:
            patch.setattr(cli, "commented", lambda words: contextlib.nullcontext())
            return run(*words).out

    return command


def behind(text, key):
    """Return the comment of a key, which stands behind the key or in the rows above it."""
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if line.split(":")[0] == key)
    above = []
    while lines[row - 1].lstrip().startswith("# "):
        row -= 1
        above.insert(0, lines[row].strip("# "))
    row = row + len(above)
    return " ".join(above) or lines[row].partition(" # ")[2]


@pytest.mark.parametrize(
    "flags", [["--cfg", "job"], ["-c", "job", "--package", "model"], ["--cfg=job", "--resolve"]]
)
def test_cfg_job_loads_as_hydras_own_output(run, plain, flags):
    result = run(*WORDS, *flags)
    without = plain(*WORDS, *flags)
    assert result.code == 0
    assert yaml.safe_load(result.out) == yaml.safe_load(without)
    printed = iter(result.out.splitlines())
    assert all(any(line.startswith(own) for line in printed) for own in without.splitlines())
    assert result.out.count("# ") > 5


@pytest.mark.parametrize("flags", [["--cfg", "hydra"], ["--cfg", "job", "--package", "seed"]])
def test_cfg_prints_nodes_without_comments_as_hydra_does(run, plain, flags):
    assert run(*flags).out == plain(*flags)


def test_cfg_job_shows_the_comment_of_every_key_of_train_yaml(run):
    out = run(*WORDS, "--cfg", "job").out
    text = (CONFIG_DIR / "train.yaml").read_text().partition("\n\nseed:")
    text = f"seed:{text[2]}".partition("\nhydra:")[0]
    with_comment = [line for line in text.splitlines() if " # " in line]
    assert len(with_comment) > 10
    for line in with_comment:
        key, comment = line.split(":")[0], line.partition(" # ")[2].strip()
        assert behind(out, key) == comment


@pytest.mark.parametrize(
    ("key", "comment"),
    [
        ("data", "MNIST: 60,000 + 10,000 handwritten digits. LeCun et al. (1998)"),
        ("  on_corrupt", "error | skip"),
        ("  latent_dim", ""),
        (
            "  loss",
            "minimax | non_saturating | least_squares | hinge | wasserstein | relativistic",
        ),
        ("  discriminator_norm", "batch | layer | none; a gradient penalty sets layer"),
        (
            "network",
            (
                "dcgan | mlp | resnet | resnet_large | projected | stylegan2 | stylegan2_cifar | "
                "stylegan2_256 | r3gan"
            ),
        ),
        ("  kid_num_subsets", "number of subsets over which kid is averaged"),
        ("  num_splits", "number of parts of the samples that inception_score averages"),
        ("    seed", "not the seed of the run: one network scores all runs on a data set"),
    ],
)
def test_cfg_job_shows_the_comments_of_the_chosen_groups(config_text, key, comment):
    text = config_text.partition("\n  features:")[2] if key == "    seed" else config_text
    assert behind(text, key) == comment


@pytest.fixture(scope="module")
def config_text():
    """Return what `--cfg job` prints."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["train.py", *WORDS, "--cfg", "job"])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return printed.getvalue()


def test_cfg_job_shows_the_comments_of_a_users_own_files(run, tmp_path):
    file = tmp_path / "mine" / "optimizer" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# My own.\n_target_: torch.optim.SGD\n_partial_: true\nlr: 0.5 # by hand\n")
    out = run("--config-dir", "mine", "optimizer=own", "--cfg", "job").out
    assert behind(out, "optimizer") == "My own."
    assert behind(out, "  lr") == "by hand"


def test_with_comments_keeps_long_values_and_values_that_look_like_comments():
    value = {"a": "x # y", "b": "one\ntwo # three\n", "c": {"d": ["# e", {"f": 1}]}, "g": "h" * 90}
    text = yaml.safe_dump(value)
    comments = dict.fromkeys(("a", "b", "c", "c.d", "c.d.f", "g"), "said: [of] it")
    commented = with_comments(text, comments)
    assert yaml.safe_load(commented) == value
    assert commented.count("# said: [of] it") == 5
    assert with_comments("- 1\n- 2\n", comments) == "- 1\n- 2\n"


def test_describe_file_lists_choices_keys_and_comments():
    text = (
        "# About it.\ndefaults:\n  - loss: hinge  # hinge | other\n  - _self_\n"
        "a:\n  b: 1  # how many\n  c: [1, 2]\n"
    )
    head, entries = describe_file(text)
    assert head == "About it."
    assert [(e.key, e.value, e.comment, e.is_choice) for e in entries] == [
        ("loss", "hinge", "hinge | other", True),
        ("a", None, None, False),
        ("a.b", "1", "how many", False),
        ("a.c", "[1, 2]", None, False),
    ]


@pytest.mark.parametrize(
    ("rows", "comments"),
    [
        (["  b: 1 # one", "            # two", "c: 2"], ["one two", None]),
        (["  b: 1  # one", "    # two", "    # three", "  c: 2"], ["one two three", None]),
        (["  b: 1 # one", "  # about c", "  c: 2"], ["one", None]),
        (["  b: # one", "    # about c", "    c: 2"], ["one", None]),
        (["  b: 1 # one", "         # two", "  # about c", "  c: 2"], ["one two", None]),
        (["  b: 1 # one", "     # two"], ["one two"]),
    ],
)
def test_comment_has_all_lines_that_are_indented_more_than_the_keys(rows, comments):
    _, entries = describe_file("\n".join(["a:", *rows]))
    assert [entry.comment for entry in entries[1:]] == comments


def test_no_file_has_a_comment_that_ends_early():
    for file in CONFIG_DIR.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        shown = " ".join(entry.comment or "" for entry in describe_file(text)[1])
        for line in text.splitlines():
            if re.match(r" {12,}# ", line):
                assert line.strip("# ") in shown, file
