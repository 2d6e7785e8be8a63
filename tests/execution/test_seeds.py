import numpy as np
import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.report.family import Family
from hail_study.report.statistics import Verdict
from hail_study.study import StudyError, load
from hail_study.study.sequential import nominal_levels, normal_levels

STUDY = """\
name: until
data: {source: planted, users: 50, items: 30}
vary: {peers.count: [1, 2, 4]}
seeds: {min: 5, max: 20, step: 5, until: decided}
"""


def study_of(tmp_path, text=STUDY):
    path = tmp_path / "until.yaml"
    path.write_text(text)
    return load(path)


def run(study, effect, noise=0.01, known=None, stop=None):
    """Every arm's score is the seed's own plus its effect plus noise of its own."""
    agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known)
    ended = {}
    while (stop is None or len(ended) < stop) and (spec := agenda.next()):
        own = np.random.default_rng([spec.seed, int(spec.arm, 16) % 2**32]).normal(0, noise)
        ended[spec.key] = Outcome("finished", 0.0, {"test/ndcg@10": effect.get(spec.arm_name, 0.0) + own})
        agenda.tell(spec, ended[spec.key])
    return agenda, ended


def seeds_of(agenda):
    return {arm.arm.name: len(arm.scores("ndcg@10")) for arm in agenda.arms.values()}


def test_clear_differences_get_no_further_seeds_and_the_reference_keeps_up(tmp_path):
    agenda, _ = run(study_of(tmp_path), {"peers.count=1": 1.0, "peers.count=4": 0.0})
    assert agenda.done
    assert seeds_of(agenda) == {"reference": 20, "peers.count=1": 5, "peers.count=4": 20}


def test_everything_decided_at_the_first_look_ends_the_study(tmp_path):
    agenda, _ = run(study_of(tmp_path), {"peers.count=1": 1.0, "peers.count=4": -1.0})
    assert seeds_of(agenda) == {"reference": 5, "peers.count=1": 5, "peers.count=4": 5}


def test_differences_of_no_interest_are_decided_too(tmp_path):
    study = study_of(tmp_path, STUDY + "metrics: {smallest_effect: {ndcg@10: 0.5}}\n")
    assert set(seeds_of(run(study, {}, noise=0.001)[0]).values()) == {5}


@pytest.mark.parametrize("stop", [0, 4, 16, 17, 31, 44])
def test_an_interrupted_study_gives_the_same_seeds(tmp_path, stop):
    study, effect = study_of(tmp_path), {"peers.count=1": 0.02}
    _, whole = run(study, effect)
    _, first = run(study, effect, stop=stop)
    _, rest = run(study, effect, known=first)
    assert set(first) | set(rest) == set(whole)
    assert not set(first) & set(rest)


@pytest.mark.parametrize(
    ("spending", "bounds"),
    [
        ("obrien-fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_those_of_the_literature(spending, bounds):
    """Lan-DeMets, five equal looks, two-sided 5 % (Jennison and Turnbull 2000; `ldBounds`)."""
    from scipy.stats import norm

    levels = normal_levels((1, 2, 3, 4, 5), 0.05, spending)
    assert [norm.isf(level / 2) for level in levels] == pytest.approx(bounds, abs=2e-3)


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("step", [1, 5])
def test_looking_often_does_not_raise_the_false_positive_rate(spending, step):
    """t statistics of studies without a difference, computed here from all their pairs."""
    from scipy.stats import t

    looks, studies = (*range(5, 30, step), 30), 20_000
    levels = nominal_levels(looks, 0.05, spending)
    sums = np.random.default_rng(1).normal(size=(studies, looks[-1]))
    total, squares = np.cumsum(sums, axis=1), np.cumsum(sums**2, axis=1)
    wrong = np.zeros(studies, dtype=bool)
    for look, level in zip(looks, levels, strict=True):
        mean = total[:, look - 1] / look
        spread = (squares[:, look - 1] - look * mean**2) / (look - 1)
        wrong |= np.abs(mean) > t.isf(level / 2, look - 1) * np.sqrt(spread / look)
    assert wrong.mean() == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / studies) ** 0.5)


def test_verdicts_err_no_more_often_than_the_level(tmp_path):
    """A/A studies: the agenda hands out trials and seeds, the report judges; a larger table is in analysis/."""
    study = study_of(tmp_path, STUDY.replace("[1, 2, 4]", "[1, 2]").replace("max: 20", "max: 30, spending: pocock"))
    family = Family("ndcg@10", 1, 0.95, None, study.file.seeds)
    naive = Family("ndcg@10", 1, 0.95)
    studies, wrong, wrong_naively = 200, 0, 0
    for number in range(studies):
        noise = np.random.default_rng(number).normal(size=(2, 30))
        agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code")
        while spec := agenda.next():
            score = float(noise[int(spec.arm != study.reference.key), spec.seed])
            agenda.tell(spec, Outcome("finished", 0.0, {"test/ndcg@10": score}))
        differences = list(noise[1] - noise[0])
        used = len(agenda.arms[study.arms[1].key].seeds)
        wrong += differs(family, differences[:used])
        wrong_naively += any(differs(naive, differences[:look]) for look in study.file.seeds.looks)
    most = 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5
    assert wrong / studies <= most
    assert wrong_naively / studies > most, "looking as often without a correction errs more"


def differs(family, differences):
    return family.judge(family.joint(differences)) in (Verdict.BETTER, Verdict.WORSE)


def test_with_many_pairs_the_levels_are_those_of_a_known_variance():
    looks = (400, 800, 1200)
    assert nominal_levels(looks, 0.05, "pocock") == pytest.approx(normal_levels(looks, 0.05, "pocock"), rel=0.05)


@pytest.mark.parametrize(
    ("seeds", "message"), [("{min: 5, max: 5}", "must be below max"), ("{min: 2, max: 9}", "3"), ("many", "seeds")]
)
def test_seeds_that_make_no_sense_are_refused(tmp_path, seeds, message):
    with pytest.raises(StudyError, match=message):
        study_of(tmp_path, STUDY.replace("{min: 5, max: 20, step: 5, until: decided}", seeds))
