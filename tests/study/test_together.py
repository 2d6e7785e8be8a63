"""What peers, couplings and item losses cannot do together is said before anything is trained."""

import pytest

from hail_study.study import Configuration, configure
from hail_study.study.tasks import misfits


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"objective.loss": "bce"}, "peers.coupling"),
        ({"objective.loss": "gbce", "peers.coupling": "one"}, "peers.coupling"),
        ({"objective.loss": "sampled-softmax", "peers.coupling": "unlikelihood"}, "objective.loss"),
        ({"peers.encoders": ["sasrec", "bert4rec"]}, "peers.encoders"),
        ({"peers.inference": "gate", "readout.paradigm": "soft"}, "peers.inference"),
        ({"data.source": "mosaic", "readout.paradigm": "soft", "peers.inference": "gate"}, "peers.inference"),
        ({"readout.paradigm": "soft"}, "peers.coupling"),
        ({"readout.paradigm": "logit-mix", "peers.coupling": "mutual"}, "peers.coupling"),
        ({"readout.paradigm": "soft", "peers.encoders": ["bert4rec"]}, "peers.encoders"),
        ({"readout.paradigm": "lvml", "peers.count": 1, "objective.loss": "gbce"}, "objective.loss"),
        ({"readout.paradigm": "lvml", "peers.count": 1, "peers.hidden": 0.2}, "peers.hidden"),
        (
            {"readout.paradigm": "lvml", "objective.temporal": 1, "objective.temporal_variant": "logits"},
            "objective.temporal_variant",
        ),
        ({"objective.temporal": "inf", "objective.temporal_variant": "rising"}, "objective.temporal"),
        ({"objective.temporal": "inf", "objective.temporal_variant": "falling"}, "objective.temporal"),
        ({"data.targets": 2, "data.stride": 10}, "data.stride"),
        ({"data.source": "functional", "readout.paradigm": "soft"}, "readout.paradigm"),
        ({"data.source": "copying", "peers.encoders": ["rnn"]}, "peers.encoders"),
        ({"data.source": "copying", "peers.coupling": "med"}, "peers.coupling"),
        (
            {"data.source": "functional", "objective.temporal": 1, "objective.temporal_variant": "logits"},
            "objective.temporal_variant",
        ),
    ],
    ids=str,
)
def test_levels_that_exclude_each_other_are_named(changes, factor):
    assert factor in dict(misfits(configure(Configuration(), changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective.loss": "bce", "peers.coupling": "independent"},
        {"objective.loss": "bce", "peers.count": 1},
        {"objective.loss": "sampled-softmax"},
        {"peers.encoders": ["sasrec", "gru4rec"]},
        {"encoder.name": "bert4rec", "data.stride": "max_length"},
        {"peers.inference": "gate"},
        {"readout.paradigm": "soft", "peers.coupling": "independent", "readout.by_peer": ["soft", "hard"]},
        {"readout.paradigm": "lvml", "peers.count": 1, "objective.temporal": "inf"},
        {"objective.temporal": "inf", "objective.temporal_variant": "permuted"},
        {"data.source": "copying", "peers.count": 1, "objective.temporal": 1, "objective.temporal_variant": "logits"},
    ],
    ids=str,
)
def test_levels_that_go_together_are_let_pass(changes):
    assert not dict(misfits(configure(Configuration(), changes)))
