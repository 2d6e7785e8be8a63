"""Samples of a worker's machine."""

import pytest

from hail_study.execution import system
from hail_study.execution.system import SystemSampler


def test_every_trial_is_sampled_at_its_first_epoch_and_then_only_when_due(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(system.time, "monotonic", lambda: now[0])
    sampler = SystemSampler(10)
    first = sampler.sample()
    assert first["system/system_memory_usage_megabytes"] > 1
    assert 0 <= first["system/cpu_utilization_percentage"] <= 100
    now[0] += 9
    assert sampler.sample() == {}
    sampler.begin()
    assert sampler.sample().keys() == first.keys()
    now[0] += 10
    assert sampler.sample().keys() == first.keys()


@pytest.mark.parametrize("without", ["seconds", "psutil"])
def test_nothing_is_sampled_where_it_is_switched_off_or_psutil_is_missing(monkeypatch, without: str) -> None:
    if without == "psutil":
        monkeypatch.setattr(system, "find_spec", lambda name: None)
    sampler = SystemSampler(0 if without == "seconds" else 10)
    assert sampler.sample() == {}
