import pytest


@pytest.fixture
def mosaic():
    """A small segment-selection configuration, by changes of which the tests are made."""
    from hail_study.study import Configuration, canonical

    def made(**changes):
        raw = {
            "data": {"source": "mosaic", "segments": 6, "classes": 3, "backgrounds": 3, "features": 8, "noise": 0.5}
            | {"train": 200, "valid": 100, "test": 100},
            "encoder": {"dim": 16, "blocks": 1, "dropout": 0.1},
            "peers": {"count": 1, "coupling": "independent"},
            "readout": {"paradigm": "soft"},
            "training": {"epochs": 6, "patience": 0, "batch": 50, "learning_rate": 0.01},
            "evaluation": {"select": "accuracy"},
        }
        for path, value in changes.items():
            section, _, name = path.partition("__")
            raw[section][name] = value
        return canonical(Configuration.model_validate(raw))

    return made
