import io

import pytest
from rich.console import Console

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.progress import Pace, Progress, clock
from hail_study.study import load

STUDY = """\
name: shown
vary: {peers.count: [1, 2]}
search: {trials: 2, space: {training.learning_rate: {low: 0.001, high: 0.01}}}
seeds: 1
"""


@pytest.fixture
def agenda(tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text(STUDY)
    study = load(path)
    return Agenda(study, {arm.key: "data" for arm in study.arms}, "code")


def shown(agenda, terminal):
    """What a study of one finished and one failed trial prints."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120, color_system=None)
    with Progress(agenda, console) as progress:
        good, bad = agenda.next(), agenda.next()
        for spec in (good, bad):
            progress.started(spec)
        progress.epoch(good, {"epoch": 1, "validation/ndcg@10": 0.25})
        if terminal:
            console.print(progress._render())
        for spec, outcome, error in (
            (good, Outcome("finished", 0.25), None),
            (bad, Outcome("failed"), "diverged: the loss is not finite\nTraceback"),
        ):
            progress.ended(spec, outcome, {"epochs": 1, "seconds": 2.0} if error is None else {}, error)
            agenda.tell(spec, outcome)
    return text.getvalue()


def test_plain_lines_name_arm_phase_result_and_cost(agenda):
    lines = shown(agenda, terminal=False).splitlines()
    assert lines[0].startswith("[1/6]")
    assert "reference · search 0" in lines[0]
    assert "validation ndcg@10 0.2500  1 epochs, 2.0 s" in lines[0]


def test_a_failure_shows_its_reason_and_not_its_traceback(agenda):
    text = shown(agenda, terminal=False)
    assert "diverged: the loss is not finite" in text
    assert "Traceback" not in text


def test_the_live_table_shows_every_arm_and_what_is_running(agenda):
    text = shown(agenda, terminal=True)
    assert "peers.count=1" in text
    assert "0/6 trials" in text
    assert "epoch 1  0.2500" in text


def test_what_remains_is_not_guessed_before_a_trial_has_ended():
    assert Pace().remaining(5) is None


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65.4, "1:05"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text
