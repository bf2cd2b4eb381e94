"""Links in run folders."""

import pytest

from limner.errors import UserError
from limner.runs.links import refuse_links


def test_refuse_links_accepts_links_inside_the_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "a.txt").touch()
    (tmp_path / "checkpoints" / "b.txt").symlink_to(tmp_path / "a.txt")
    refuse_links(tmp_path)


@pytest.mark.parametrize("name", ["status.json", "checkpoints/update_00000001.ckpt"])
def test_refuse_links_refuses_a_link_out_of_the_folder(tmp_path, name):
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"{link.name} is refused: it is a link that leads out"):
        refuse_links(tmp_path / "run")


def test_refuse_links_leaves_the_folders_of_loggers_alone(tmp_path):
    (tmp_path / "run" / "wandb").mkdir(parents=True)
    (tmp_path / "run" / "wandb" / "cache").symlink_to(tmp_path)
    refuse_links(tmp_path / "run")
