import pytest

from hail_study.execution.cluster import cluster
from hail_study.execution.room import NoCluster, Room
from hail_study.study import Compute


def test_as_many_trials_at_a_time_as_fit(local_ray):
    for compute, slots in [(Compute(), 2), (Compute(cpus=2), 1), (Compute(cpus=0.5), 4), (Compute(concurrent=1), 1)]:
        with cluster(compute) as found:
            assert found.slots == slots


def test_a_trial_that_fits_nowhere_is_refused_at_the_start(local_ray):
    with pytest.raises(NoCluster, match="needs 64 CPUs and 0 GPUs, the cluster has 2 CPUs"), cluster(Compute(cpus=64)):
        pass
    with pytest.raises(NoCluster, match="needs 1 CPUs and 1 GPUs"), cluster(Compute(gpus=1)):
        pass


def test_a_ray_that_was_there_before_is_left_running(local_ray):
    import ray

    with cluster(Compute()):
        pass
    assert ray.is_initialized()


@pytest.mark.parametrize(("gpus", "slots"), [(0.4, 4), (0.6, 2), (0.1, 20), (0.3333, 6), (0.5, 4), (1, 2), (2, 1)])
def test_a_fraction_of_a_gpu_is_of_one_gpu(monkeypatch, gpus, slots):
    node = {"Alive": True, "Resources": {"CPU": 64, "GPU": 2}}
    monkeypatch.setattr("hail_study.execution.room._nodes", lambda: [node])
    room = Room(Compute(gpus=gpus), grows=False)
    assert (room.slots, room.hosts) == (slots, slots)
