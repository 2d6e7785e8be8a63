"""The plan: what will be run, and what it can show."""

import json

import numpy as np
import pytest
from scipy import stats

from hail_study.study import load, plan
from hail_study.study.plan_text import duration
from hail_study.study.power import detectable_effect, power_of, seeds_needed, smallest_p

STUDY = """
base: {training: {epochs: 10}}
vary: {peers.count: [1, 2, 4], peers.alpha: [0.25]}
search:
  trials: 6
  epochs: 4
  space: {peers.alpha: [0.1, 0.3, 0.5, 0.7], peers.gamma: {choices: [1, 2], when: {peers.count: 4}}}
seeds: [3, 5, 8]
claims: [peers.count=4 > reference]
compute: {concurrent: 2}
"""


def test_trials_per_phase_and_what_is_left(study) -> None:
    loaded = study(STUDY)
    keys = {arm.name: arm.key for arm in loaded.arms}
    recorded = {keys["reference"]: {"search": 3, "confirm": 1, "baseline": 2}, keys["peers.count=1"]: {"confirm": 9}}
    planned = plan(loaded, {keys["reference"]: "f"}, recorded, dict.fromkeys(keys.values(), 2.0))
    arms = {arm.name: arm for arm in planned.arms}
    assert {name: (arm.search, arm.confirm) for name, arm in arms.items()} == {
        "reference": (4, 3),
        "peers.count=1": (0, 3),
        "peers.count=4": (6, 3),
        "peers.alpha=0.25": (0, 3),
    }
    assert arms["reference"].recorded == {"search": 3, "confirm": 1}
    assert arms["peers.count=1"].recorded == {"search": 0, "confirm": 3}
    assert arms["reference"].seconds == 2.0 * (1 * 4 + 2 * 10)
    assert arms["peers.count=1"].seconds == 0
    assert arms["reference"].fingerprint == "f"
    assert (planned.trials, planned.recorded) == (22, 7)
    assert planned.seconds == sum(arm.seconds for arm in planned.arms) / 2
    assert planned.seeds == (3, 5, 8)


def test_time_is_unknown_where_an_arms_is(study) -> None:
    loaded = study(STUDY)
    assert plan(loaded, {}, {}, {loaded.reference.key: 1.0}).seconds is None


def test_an_arm_with_nothing_left_takes_no_time(study) -> None:
    loaded = study("seeds: 2")
    assert plan(loaded, {}, {loaded.reference.key: {"confirm": 2}}).seconds == 0


def test_the_plan_for_machines_is_json(study) -> None:
    planned = json.loads(json.dumps(plan(study(STUDY)).to_json()))
    assert planned["trials"] == 22
    assert [arm["name"] for arm in planned["arms"]][:2] == ["reference", "peers.count=1"]
    assert planned["power"]["smallest_p"] == 0.25
    assert planned["arms"][2]["space"] == {"peers.alpha": "0.1, 0.3, 0.5, 0.7", "peers.gamma": "1, 2"}


def test_the_plan_for_people_says_it_all(study) -> None:
    text = plan(study(STUDY, "+search.space.data.lag=[3]", "data.cue=0.0")).render()
    assert "study s: 4 arms, 22 trials, 22 of them to run, 2 at a time" in text
    for line in (
        "also named      reference: peers.count=2",
        "not searched    data.lag: every arm sets it, or it matters in none",
        "seeds           3, 5, 8: the same for every arm",
        "smallest p      0.25, by exact sign flips of 3 pairs: too few to reach 0.05",
        "seeds needed    6 for one comparison, 7 for the first of 3 under Holm",
        "claim           peers.count=4 > reference",
    ):
        assert line in text.splitlines()
    assert max(len(line) for line in text.splitlines()) < 140


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3725, "1:02:05"), (None, "?")])
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_smallest_p_is_that_of_all_differences_of_one_sign() -> None:
    for n in (3, 5, 8):
        found = stats.permutation_test(
            (np.arange(1, n + 1),), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False
        )
        assert found.pvalue == pytest.approx(smallest_p(n))


def test_seeds_needed_are_the_first_that_reach_the_level() -> None:
    for level in (0.05, 0.01, 0.05 / 7, 0.25):
        n = seeds_needed(level)
        assert smallest_p(n) <= level < smallest_p(n - 1)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_the_detectable_effect_is_found_with_80_percent_power(n: int) -> None:
    effect = detectable_effect(n, 0.05)
    draws = np.random.default_rng(0).normal(effect, 1, size=(20000, n))
    found = stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_one_seed_detects_nothing() -> None:
    assert detectable_effect(1, 0.05) is None
    assert power_of(1, 3, 0.95).smallest_p == 1.0


def test_a_study_of_one_arm_compares_nothing(study) -> None:
    assert "smallest p" not in plan(study("seeds: 3")).render()


def test_a_removal_that_changes_nothing_is_pointed_out(tmp_path) -> None:
    path = tmp_path / "idle.yaml"
    path.write_text("name: idle\nbase: {peers: {count: 1}}\nremove: {med: {peers.coupling: independent}}\nseeds: 2\n")
    found = plan(load(path))
    assert found.idle == ("med",)
    assert "remove med: the reference is without it" in found.render()
    path.write_text("name: idle\nbase: {peers: {count: 2}}\nremove: {med: {peers.coupling: independent}}\nseeds: 2\n")
    assert plan(load(path)).idle == ()


def test_a_plan_of_packs_names_the_arms_that_are_trained_alone(study) -> None:
    text = "vary: {objective.temporal: [0, 1]}\ncompute: {pack: 4}\n"
    packed = plan(study(text))
    assert packed.pack == 4
    assert list(packed.unpacked) == ["objective.temporal=1"]
    assert "up to 4 trials in one process" in packed.render()
    assert "trained alone   objective.temporal=1: objective.temporal weighs" in packed.render()
    assert "packs" not in plan(study("vary: {objective.temporal: [0, 1]}\n")).render()
