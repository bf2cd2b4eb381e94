"""Mistakes in config files are reported with the file, the line and the remedy."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from limner.config.config_files import read_file
from limner.config.error_messages import explain
from limner.config.schema import CONFIG_DIR, register
from limner.errors import UserError

HEAD = "# @package _global_\n"
MISTAKES = {
    "no header": ("seed: 3\n", 1, "must be `# @package _global_`"),
    "header misspelt": ("# @package global\nseed: 3\n", 1, "write `# @package _global_`, not"),
    "header too late": (f"# mine\n{HEAD}seed: 3\n", 2, "must be the first line"),
    "given twice": (f"{HEAD}seed: 3\noptimizer:\n  lr: 1\nseed: 4\n", 5, "seed is given twice"),
    "tab": (f"{HEAD}optimizer:\n\tlr: 1\n", 3, "a tab is used for indentation"),
    "tab after spaces": (f"{HEAD}optimizer:\n  \tlr: 1\n  a: 2\n", 3, "a tab"),
    "latin-1": (f"{HEAD}seed: 3\n# café\n".encode("latin-1"), 3, "0xe9 is not UTF-8"),
    "zero byte": (f"{HEAD}seed: 3\x00\n", 2, "the character '\\x00' is not allowed"),
    "emptied": (f"{HEAD}seed: 3\noptimizer:\n", 3, "optimizer has no keys below it"),
    "commented": (f"{HEAD}data:\n  # batch_size: 3\n", 2, "data has no keys below it"),
    "value": (f"{HEAD}seed: 3\nmodel: gan\n", 3, "write `- override /model: gan` below `defaults"),
    "no group": (f"{HEAD}trainer: 3\n", 2, "write keys below `trainer:`, indented"),
    "accelerator": (f"{HEAD}accelerator: cpu\n", 2, "write `- override /accelerator: cpu`"),
    "list of keys": (f"{HEAD}optimizer:\n- lr: 1\n", 2, "optimizer holds keys, not a list"),
    "unknown group": (f"{HEAD}defaults:\n- override /modle: gan\n", 3, "no group modle; did you"),
    "unknown option": (f"{HEAD}defaults:\n- override /model: gann\n", 3, "did you mean gan?"),
    "not chosen": (f"{HEAD}defaults:\n- override /model/loss: hinge\n", 3, "no such group"),
    "no slash": (f"{HEAD}defaults:\n- override model: gan\n", 3, "`- override /model: gan`"),
    "no override": (f"{HEAD}defaults:\n- /model: gan\n", 3, "`- override /model: gan`"),
    "neither": (f"{HEAD}defaults:\n- model: gan\n", 3, "`- override /model: gan`"),
    "no option": (f"{HEAD}defaults:\n- override /model:\n", 3, "names no option"),
    "as on the command line": (f"{HEAD}defaults:\n- model=gan\n", 3, "`- override /model: gan`"),
    "overridden twice": (
        f"{HEAD}defaults:\n- override /model: gan\n- override /model: vae\n", 4, "given twice"),
    "two in an item": (
        f"{HEAD}defaults:\n- {{override /model: gan, override /data: mnist}}\n", 3, "one choice"),
    "defaults a mapping": (f"{HEAD}defaults:\n  override /model: gan\n", 3, "defaults is a list"),
    "itself": (f"{HEAD}defaults:\n- mine\n", 3, "is this file itself"),
    "no such file": (f"{HEAD}defaults:\n- base\n", 3, "experiment=base: there is no such option"),
    "empty": ("", 1, "the file is empty"),
    "list": (f"{HEAD}- a\n- b\n", 2, "not a list"),
    "words": (f"{HEAD}seed=3\n", 2, "write `seed: 3`"),
    "dotted": (f"{HEAD}optimizer.lr: 1\n", 2, "write `lr: ...` below `optimizer:`"),
    "not closed": (f"{HEAD}optimizer: {{lr: 1\n", 2, "never closed"),
    "wrong indent": (f"{HEAD}optimizer:\n  lr: 1\n betas: 2\n", 4, "indent keys alike"),
    "reference": (f"{HEAD}optimizer:\n  lr: ${{a\n", 3, "is not complete"),
    "tag": (f"{HEAD}seed: !!python/object:os.system 1\n", 2, "a tag"),
    "wrong type": (f"{HEAD}debug: true\nseed: abc\n", 3, "Value 'abc' of type 'str'"),
    "two documents": (f"{HEAD}seed: 3\n---\nseed: 4\n", 3, "second document"),
}  # fmt: skip


def composed_from(folder: Path, *overrides: str) -> DictConfig:
    """Compose the real config with the files in `folder`."""
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=[f"hydra.searchpath=[file://{folder}]", *overrides])


def written(folder: Path, content: str | bytes, group: str = "experiment") -> Path:
    path = folder / group / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("content", "line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_in_an_experiment_is_reported_with_file_line_and_remedy(
    tmp_path, content, line, message
):
    path = written(tmp_path, content)
    with pytest.raises(Exception) as error:  # noqa: PT011
        composed_from(tmp_path, "experiment=mine")
    explained, code = explain(error.value)
    assert code == 2
    assert explained.startswith(f"{path}, line {line}: ")
    assert message in explained
    assert len(explained.splitlines()) <= 2


@pytest.mark.parametrize(
    ("content", "message"),
    [("_target_: torch.optim.SGD\n_target_: torch.optim.Adam\n", "line 2: the key _target_ is"),
     ("- 1\n", "line 1: a config file is"), ("lr: 1\n\tb: 2\n", "line 2: a tab"),
     ("", "line 1: the file is empty")],
)  # fmt: skip
def test_mistake_in_an_option_of_a_group_is_reported_with_file_and_line(
    tmp_path, content, message
):
    path = written(tmp_path, content, "optimizer")
    with pytest.raises(UserError) as error:
        composed_from(tmp_path, "optimizer=mine")
    assert str(error.value).startswith(f"{path}, {message}")


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + f"{HEAD}seed: 3\n".encode(), f"{HEAD}seed: 3\n".replace("\n", "\r\n"),
     f"{HEAD}# ünïcode\nseed: 3\n", f"\n{HEAD}seed: 3\nlr_schedule: null\n"],
)  # fmt: skip
def test_experiment_file_is_read_when_it_has_a_byte_order_mark_or_other_line_ends(
    tmp_path, content
):
    written(tmp_path, content)
    assert composed_from(tmp_path, "experiment=mine").seed == 3


def test_read_file_refuses_utf_16_and_a_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("seed: 3\n".encode("utf-16"))
    with pytest.raises(UserError, match="is UTF-16; save the file as UTF-8"):
        read_file(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_file(tmp_path)
