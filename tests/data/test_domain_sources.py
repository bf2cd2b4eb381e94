import pytest

from limner.data import DomainFolders, Shapes, ShapeStyle, ShapeStyles
from limner.data.domain_sources import open_domains
from limner.data.sources import SourceError
from support import fakes

OPTIONS = {
    "kind": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error", "background": (255, 255, 255),
}  # fmt: skip


def test_files_are_decoded_with_their_folders(tmp_path):
    for folder, number in (("A", 2), ("B", 3)):
        fakes.images(tmp_path / folder, number, size=(4, 6))
    source = DomainFolders(path=str(tmp_path), path_b=None, folder_a="A", folder_b="B")
    opened = open_domains(source, 1, **OPTIONS)
    assert {letter: len(own["train"]) for letter, own in opened.stores.items()} == {"a": 2, "b": 3}
    assert opened.stores["b"]["train"].picture(2).shape == (1, 6, 4)
    assert opened.folders == {"a": "A", "b": "B"}
    assert opened.files["a"] != opened.files["b"]


def test_rendered_domains_need_no_files():
    style = ShapeStyle(ground="white", brightness=1.0, outline=0.0)
    shapes = Shapes(
        num_train=3, num_validation=1, num_test=1, seed=0, kinds=["circle"],
        colours={"red": "red"}, min_size=0.2, max_size=0.3, background="white",
    )  # fmt: skip
    opened = open_domains(ShapeStyles(shapes=shapes, size=8, a=style, b=style), 3, **OPTIONS)
    assert opened.stores["a"]["train"].picture(0).shape == (3, 8, 8)
    assert opened.folders == {"a": None, "b": None}
    assert opened.files["a"] != opened.files["b"], "other shapes are trained"


def test_source_of_a_domain_that_breaks_a_rule_is_named():
    class Own:
        def domains(self):
            return {"a": self, "b": self}

        def pictures(self):
            return {}

    with pytest.raises(SourceError, match=r"Own\.pictures\(\) has the splits none"):
        open_domains(Own(), 3, **OPTIONS)
