"""No factor is silently ignored: on every task each one changes what is trained or measured, is neutral, or is refused.

Every factor of the configuration is tried, those included that are added one day.
"""

import pytest

from hail_study.study import Configuration, canonical
from hail_study.study.tasks import misfits
from hail_study.testing.factors import FACTORS, ignored, outcome

PEERS = {"count": 2, "coupling": "independent", "inference": "best"}
TRAINING = {"epochs": 3, "patience": 0, "batch": 20, "learning_rate": 0.05, "warmup": 1, "clip": 0.5}
ENCODER = {"dim": 8, "blocks": 1, "heads": 2, "dropout": 0.1}
SMALL = {"train": 40, "valid": 20, "test": 20}
READOUT = {"paradigm": "hybrid", "switch_share": 0.4, "distil": 0.3, "estimator": "reinforce", "samples": 2}
ITEMS = {"source": "planted", "users": 40, "items": 30, "length": 8, "max_length": 8}
BASES = {
    "focused": {"data": ITEMS, "readout": READOUT, "objective": {"temporal": 1.0}},
    "plateau": {
        "data": ITEMS,
        "readout": {"paradigm": "soft", "by_peer": ["power", "hybrid"], "switch": "plateau", "switch_patience": 2},
        "training": TRAINING | {"epochs": 4, "learning_rate": 1e-4},
    },
    "mosaic": {
        "data": {"source": "mosaic", "segments": 4, "classes": 3, "backgrounds": 2, "features": 8} | SMALL,
        "readout": READOUT,
        "evaluation": {"select": "cross_entropy"},
    },
    "digits": {
        "data": {"source": "digits", "segments": 4, "classes": 3} | SMALL,
        "readout": {"paradigm": "soft", "by_peer": ["power", "hard"], "estimator": "gumbel"},
        "evaluation": {"select": "cross_entropy"},
    },
    "functional": {
        "data": {"source": "functional", "functional": "two-part", "length": 8, "lag": 4} | SMALL,
        "objective": {"temporal": 1.0},
        "evaluation": {"select": "mse"},
    },
    "copying": {
        "data": {"source": "copying", "symbols": 3, "alphabet": 5, "gap": 2} | SMALL | {"test": 200},
        "objective": {"temporal": 1.0},
        "evaluation": {"select": "accuracy"},
    },
}


@pytest.fixture(scope="module", params=BASES)
def base(request):
    if request.param == "digits":
        pytest.importorskip("sklearn")
    raw = {"peers": PEERS, "training": TRAINING, "encoder": ENCODER} | BASES[request.param]
    configuration = canonical(Configuration.model_validate(raw))
    assert not list(misfits(configuration))
    return configuration, outcome(configuration)


@pytest.mark.parametrize("factor", FACTORS)
def test_no_factor_is_silently_ignored(base, factor):
    configuration, before = base
    assert not ignored(configuration, factor, before)
