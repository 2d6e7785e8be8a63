"""How peers' scores become one."""

import pytest
import torch

from hail_study.models import combine


def test_one_peer_answers_for_itself():
    logits = torch.randn(1, 3, 5)
    assert torch.equal(combine(logits, "mean-probability"), logits[0])


def test_mean_probability_orders_as_the_mean_of_softmaxes():
    logits = torch.randn(3, 4, 50, dtype=torch.float64)
    found = combine(logits, "mean-probability")
    mean = logits.softmax(-1).mean(0)
    torch.testing.assert_close(found.softmax(-1), mean)


def test_mean_probability_orders_items_whose_probability_underflows():
    logits = torch.tensor([[[500.0, 1.0, 2.0]], [[500.0, 1.0, 2.0]]])
    assert combine(logits, "mean-probability")[0].argsort().tolist() == [1, 2, 0]


def test_mean_logit_and_best():
    logits = torch.randn(3, 4, 5)
    torch.testing.assert_close(combine(logits, "mean-logit"), logits.mean(0))
    assert torch.equal(combine(logits, "best", best_peer=2), logits[2])


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="mode"):
        combine(torch.randn(2, 1, 3), "mode")
