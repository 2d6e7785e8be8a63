"""Every task conforms; tasks that do not are noticed. Tasks from plug-ins are checked before they are imported."""

import sys
from pathlib import Path

import pytest

from hail_study.study import StudyError, catalogue, configure, load
from hail_study.study.measures import lower_is_better, measures
from hail_study.testing import SUITES, TASK_CHECKS, every, failures

OF_TASKS = next(suite for suite in SUITES if suite.kind == "tasks")
STUDY = """
name: outside
plugins: ["regress:{plugin}"]
data: {{source: noise}}
base: {{peers: {{count: 2, coupling: independent}}, training: {{epochs: 2, batch: 50, learning_rate: 0.1, clip: 0.1}}}}
metrics: {{primary: mse, report: [mse]}}
"""


@pytest.mark.parametrize("name", every("tasks"))
def test_every_task_conforms(name):
    with OF_TASKS.subject(name) as configuration:
        assert not failures(TASK_CHECKS, configuration)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that loads the study above; the catalogue is as before afterwards."""
    known = {name: dict(value) for name, value in vars(catalogue).items() if name.isupper() and isinstance(value, dict)}
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def loaded(text=STUDY, plugin="plugin"):
        (tmp_path / "study.yaml").write_text(text.format(plugin=plugin))
        return load(tmp_path / "study.yaml")

    yield loaded
    for name, value in known.items():
        if getattr(catalogue, name) != value:
            getattr(catalogue, name).clear()
            getattr(catalogue, name).update(value)
    sys.modules.pop("regress", None)


def test_a_task_of_ones_own_conforms(study):
    assert not failures(TASK_CHECKS, study().reference.configuration)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("Counting", "continues to the bit"),
        ("Drawing", "evaluation leaves no trace"),
        ("Dozing", "evaluation leaves no trace"),
        ("Peeking", "test examples are left alone"),
        ("Idle", "the loss falls"),
        ("Careless", "seeds decide"),
        ("Lonely", "one peer is enough"),
        ("Silent", "two peers are named"),
        ("Twins", "two peers are named"),
        ("Secretive", "metrics are known"),
        ("Forgetful", "metrics are known"),
        ("Sparse", "metrics are known"),
        ("Unworried", "scores that are no numbers are an error"),
        ("Imprecise", "no factor is silently ignored"),
    ],
)
def test_a_task_that_does_not_conform_is_noticed(study, kind, check):
    configuration = study().reference.configuration
    catalogue.TASKS["regress"] = f"regress:{kind}"
    one = next(one for one in TASK_CHECKS if one.__name__ == check.replace(" ", "_"))
    assert check in failures([one], configuration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("encoder.dim=32", "encoder.dim: regress does not look at it"),
        ("peers.coupling=mutual", "peers.coupling: peers that learn regress know nothing of mutual"),
        ("metrics.primary=hr@10 metrics.report=[hr@10]", "hr@10 is no metric of noise data"),
        ("metrics.primary=mes", "metrics.primary=mes: not a metric"),
    ],
)
def test_what_a_task_does_not_look_at_is_refused_with_its_line(study, tmp_path, changes, message):
    study()
    with pytest.raises(StudyError) as error:
        load(tmp_path / "study.yaml", changes.split())
    assert message in str(error.value)


def test_one_network_is_no_peer_of_itself(study):
    configuration = study().reference.configuration
    assert configure(configuration, {"peers.count": 1}).peers.count == 1
    load_one = study(STUDY.replace("count: 2", "count: 1"))
    assert load_one.reference.configuration.peers.coupling == "independent"


def test_a_task_says_which_way_is_better(study):
    study()
    assert measures("regress", "mse")
    assert not measures("regress", "hr@10")
    assert lower_is_better("mse")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('errors=("mse",)', 'metrics=("mse",)', "`mse` of `regress` belongs in `errors`"),
        (
            'factors=("peers.count",)',
            'factors=("peers.cuont",)',
            "looks at `peers.cuont`, which is no factor",
        ),
        ('{"regress":', '{"labels":', "`labels` is taken"),
    ],
)
def test_a_task_that_says_what_cannot_be_is_answered(study, tmp_path, monkeypatch, old, new, message):
    code = (Path(__file__).parent / "regress.py").read_text()
    (tmp_path / "mistaken.py").write_text(code.replace(old, new).replace('"regress:', '"mistaken:'))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StudyError, match=message):
        study(STUDY.replace("regress:", "mistaken:"))
    sys.modules.pop("mistaken", None)
