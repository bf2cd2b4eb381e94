"""Names of run folders."""

import json

import pytest

from limner.runs.names import file_name, job_folder


def test_file_name_is_one_name_for_each_text():
    assert file_name("model/loss=hinge,seed=1") == "model-loss=hinge,seed=1"
    texts = ["a=[1,2]", "a=(1,2)", "a=b/c", "a=b-c", "a=" + "x" * 200, "a=" + "x" * 201]
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all("/" not in name and len(name) < 200 for name in names)


def record(sweep, name, *words):
    path = sweep / ".jobs" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"overrides": words}))


def named(sweep, *words, common=()):
    differing = sorted(word for word in words if word.partition("=")[0] not in common)
    return job_folder(str(sweep), ",".join(differing), words, common)


def test_job_folder_is_named_by_the_values_that_differ(tmp_path):
    assert named(tmp_path, "seed=1", "model=gan", common=["model"]) == "seed=1"
    assert named(tmp_path, "seed=1", "model=gan") == "model=gan,seed=1"
    assert named(tmp_path) == "defaults"


def test_job_keeps_the_folder_in_which_it_was_started(tmp_path):
    record(tmp_path, "model=gan,seed=1", "seed=1", "model=gan")
    record(tmp_path, "mine", "seed=2", "model=gan")
    assert named(tmp_path, "model=gan", "seed=1", common=["model"]) == "model=gan,seed=1"
    assert named(tmp_path, "model=gan", "seed=2", common=["model"]) == "mine"
    assert named(tmp_path, "model=gan", "seed=3", common=["model"]) == "seed=3"


@pytest.mark.parametrize("before", [["seed=1"], ["seed=1", "model=vae"]])
def test_job_folder_names_everything_beside_jobs_of_other_commands(tmp_path, before):
    record(tmp_path, "seed=1", *before)
    assert named(tmp_path, "seed=1", "model=gan", common=["model"]) == "model=gan,seed=1"


def test_job_folder_is_one_folder_for_each_job_whose_words_no_name_can_hold(tmp_path):
    words = ["data.path=a/b", "data.path=a-b", "data.path=a b", "data.path=a?b"]
    assert len({named(tmp_path, word, "seed=1", common=["seed"]) for word in words}) == 4


def test_job_folder_ignores_damaged_records(tmp_path):
    record(tmp_path, "seed=1", "seed=1")
    for name, text in (
        ("a", "["),
        ("b", "5"),
        ("c", '{"overrides": 5}'),
        ("d", '{"overrides": [1]}'),
    ):
        (tmp_path / ".jobs" / f"{name}.json").write_text(text)
    assert named(tmp_path, "seed=2") == "seed=2"
