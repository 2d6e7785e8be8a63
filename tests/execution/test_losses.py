from types import SimpleNamespace

import pytest

from hail_study.execution.losses import Losses
from hail_study.execution.tune import TICKET, Ticket

REASONS = {
    "process": "Failure # 1\nray.exceptions.ActorDiedError: The actor died unexpectedly.\nmore",
    "unusable": "Failure # 1\nTraceback\nhail_study.execution.ticket.Unusable: its host did not answer for 9 s\n",
    "node": "Failure # 1\nray.exceptions.NodeDiedError: the node has died.\nmore",
}


@pytest.fixture
def lose(tmp_path):
    """Lose a trial's process so many times; returns its ticket and what was told."""

    def go(kind, retries, times, moves=True):
        (tmp_path / "error.txt").write_text(REASONS[kind])
        ticket = Ticket(SimpleNamespace(label="seed=0-1234"), None)
        trial = SimpleNamespace(config={TICKET: ticket}, error_file=str(tmp_path / "error.txt"), max_failures=-1)
        told = []
        for _ in range(times):
            Losses(retries, told.append, lambda ticket: moves).on_trial_recover(0, [], trial)
        return ticket, told

    return go


def test_a_loss_is_one_line_until_the_trial_is_given_up(lose):
    ticket, told = lose("process", retries=2, times=3)
    assert ticket.given_up.startswith("ray.exceptions.ActorDiedError")
    line = (
        "seed=0-1234: ray.exceptions.ActorDiedError: The actor died unexpectedly.; it goes on from its last checkpoint"
    )
    assert told == [line] * 2


def test_lost_nodes_are_not_counted(lose):
    ticket, told = lose("node", retries=0, times=5)
    assert ticket.given_up == ""
    assert len(told) == 5


@pytest.mark.parametrize(
    ("moves", "what"),
    [(True, "it goes on from its last checkpoint elsewhere"), (False, "it waits for it, or for another")],
)
def test_a_process_that_cannot_train_is_not_counted_either(lose, moves, what):
    ticket, told = lose("unusable", 0, 5, moves)
    assert ticket.given_up == ""
    assert told == [f"seed=0-1234: its host did not answer for 9 s; {what}"] * 5
