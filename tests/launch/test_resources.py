"""Jobs on one machine share its cores and GPUs."""

from limner.launch.resources import job_resources, part, reserve_resources


def test_job_resources_share_cores_and_gpus_between_jobs(tmp_path, monkeypatch):
    assert [part(range(5), i, 2) for i in (0, 1)] == [range(2), range(2, 5)]
    assert [part("ab", i, 3) for i in range(3)] == [["a"], ["b"], ["a"]]
    assert part([], 0, 2) == []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    second = job_resources(1, 2)
    assert (second.cores, second.gpus) == ([2, 3], ["6"])
    assert second.environment()["CUDA_VISIBLE_DEVICES"] == "6"
    assert second.environment()["OMP_NUM_THREADS"] == "2"
    with reserve_resources(tmp_path, 2) as one, reserve_resources(tmp_path, 2) as other:
        assert {one.gpus[0], other.gpus[0]} == {"4", "6"}
    with reserve_resources(tmp_path, 1) as all_of_it:
        assert all_of_it is None
