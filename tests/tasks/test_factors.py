"""No factor is silently ignored: on every task each one changes what is trained or measured, is neutral, or is refused.

Every factor of the configuration is tried, those included that are added one day.
"""

import pytest

from hail_study.data import prepare
from hail_study.study import Configuration, canonical, packing
from hail_study.study.factors import level
from hail_study.study.tasks import misfits
from hail_study.testing.factors import FACTORS, accepted, another, ignored, outcome
from hail_study.training import Trial
from hail_study.training.pack import Pack

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


PACKED = {"data": ITEMS, "encoder": ENCODER, "training": TRAINING | {"epochs": 2}}


@pytest.mark.parametrize("factor", FACTORS)
def test_no_factor_computes_something_else_in_a_pack(factor):
    """Two seeds at another level of a factor, packed, are what they are alone; or the level says why it is not packed.

    A factor in which trials of a pack may differ is also tried beside the level it had.
    """
    base = canonical(Configuration.model_validate(PACKED))
    data = prepare(base.data)
    for value in another(factor, level(base, factor)):
        changed = accepted(base, factor, value)
        if changed is None:
            continue
        if packing.structure(changed, data.fingerprint) is None:
            assert list(packing.misfits(changed)), factor
            continue
        rounding = 5e-3 if value == "bfloat16" else 2e-5
        beside = base if factor in packing.OWN else changed
        pack = Pack([Trial(one, data, seed) for seed, one in enumerate((changed, beside))])
        alone = [Trial(one, data, seed) for seed, one in enumerate((changed, beside))]
        for _ in range(2):
            for entry, single in zip(pack.step(), alone, strict=True):
                expected = {name: value for name, value in single.step().items() if name.startswith("loss/")}
                assert {name: entry[name] for name in expected} == pytest.approx(expected, rel=rounding), (
                    factor,
                    value,
                )
        for mine, single in zip(pack.trials, alone, strict=True):
            assert mine.test().metrics().keys() == single.test().metrics().keys()
