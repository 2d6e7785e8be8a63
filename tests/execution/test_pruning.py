"""Arms that are behind the reference get no further seeds, where the study file asks for it."""

import random
from itertools import product

import numpy as np
import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.study import StudyError, load
from hail_study.study.pruning import behind, seeds_given

STUDY = """\
name: pruned
data: {source: planted, users: 50, items: 30}
vary: {peers.count: [1, 2, 4]}
seeds: 12
"""


def study_of(tmp_path, text):
    path = tmp_path / "pruned.yaml"
    path.write_text(text)
    return load(path)


def run(study, level_of, seed=0, known=None):
    """Seeds that each arm got, whatever the order in which trials end."""
    agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known)
    chance, running, ended = random.Random(seed), [], {}
    while True:
        while len(running) < 5 and (spec := agenda.next()):
            running.append(spec)
        if not running:
            assert agenda.done
            return {arm.arm.name: len(arm.seeds) for arm in agenda.arms.values()}, ended
        spec = running.pop(chance.randrange(len(running)))
        noise = np.random.default_rng([spec.seed, len(spec.arm_name)]).normal(0, 0.1)
        value = level_of(spec.arm_name) + noise
        ended[spec.key] = Outcome("finished", value, {"test/ndcg@10": -value})
        agenda.tell(spec, ended[spec.key])


def test_an_arm_far_behind_stops_at_the_first_look_and_others_get_all_seeds(tmp_path):
    study = study_of(tmp_path, STUDY + "pruning: wilcoxon\n")
    levels = {"reference": 1.0, "peers.count=1": 0.0, "peers.count=4": 2.0}
    found, _ = run(study, levels.__getitem__)
    assert found == {"reference": 12, "peers.count=1": 5, "peers.count=4": 12}


def test_without_being_asked_for_nothing_is_pruned(tmp_path):
    found, _ = run(study_of(tmp_path, STUDY), lambda arm: 1.0 if arm == "reference" else 0.0)
    assert set(found.values()) == {12}


def test_looks_may_be_further_apart(tmp_path):
    study = study_of(tmp_path, STUDY + "pruning: {after: 7, step: 3}\n")
    found, _ = run(study, lambda arm: 1.0 if arm == "reference" else 0.0)
    assert found == {"reference": 12, "peers.count=1": 7, "peers.count=4": 7}
    assert study.file.pruned.looks(12) == (7, 10, 12)


def test_the_decision_depends_on_results_alone_and_survives_interruptions(tmp_path):
    study = study_of(tmp_path, STUDY + "pruning: {level: 0.2}\n")
    level_of = {"reference": 1.0, "peers.count=1": 0.93, "peers.count=4": 0.97}.__getitem__
    whole, ended = run(study, level_of)
    assert all(run(study, level_of, seed)[0] == whole for seed in range(1, 5))
    some = dict(list(ended.items())[::2])
    assert run(study, level_of, 9, some)[0] == whole


def test_the_test_is_wilcoxons_exact_one():
    """Against the distribution of the rank sum over all signs."""
    values = [0.3, -1.1, -0.7, -2.0, 0.1, -0.9]
    ranks = np.argsort(np.argsort(np.abs(values))) + 1
    observed = ranks[np.array(values) > 0].sum()
    sums = [sum(rank for rank, up in zip(ranks, signs, strict=True) if up) for signs in product((0, 1), repeat=6)]
    p = np.mean(np.array(sums) <= observed)
    assert behind(values, p + 1e-9)
    assert not behind(values, p - 1e-9)
    assert not behind([0.0, 0.0], 0.4)


def test_the_report_can_tell_from_results_how_many_seeds_an_arm_was_given():
    worse = [-1.0, -2.0, -1.5, None, -0.5, -3.0, -1.2, -2.2]
    assert seeds_given(worse, (5, 6, 7, 8), 0.05) == 6
    assert seeds_given([-one for one in worse if one], (5, 6, 7), 0.05) == 7


def test_pruning_beside_seeds_until_decided_is_refused(tmp_path):
    with pytest.raises(StudyError, match="pruning"):
        study_of(tmp_path, STUDY.replace("seeds: 12", "seeds: {min: 5, max: 12, until: decided}\npruning: wilcoxon"))
