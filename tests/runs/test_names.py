"""Names of run folders."""

from limner.runs.names import file_name


def test_file_name_is_one_name_for_each_text():
    assert file_name("model/loss=hinge,seed=1") == "model-loss=hinge,seed=1"
    texts = ["a=[1,2]", "a=(1,2)", "a=b/c", "a=b-c", "a=" + "x" * 200, "a=" + "x" * 201]
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all("/" not in name and len(name) < 200 for name in names)
