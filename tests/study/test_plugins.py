"""Plug-ins: named by a study, checked where they stand, part of its keys, known to workers."""

import sys
from importlib import metadata

import pytest

from hail_study.study import Configuration, StudyError, catalogue, configure, load
from hail_study.study.canonical import matters
from hail_study.study.plugins import PluginError, activate, version_of

CODE = """
from hail_study.study import Plugin

def first(ranks):
    return ranks == 1

def few(settings):
    import numpy as np
    from hail_study.data.interactions import Interactions
    users = np.repeat(np.arange(20), 6)
    items = (users + np.tile(np.arange(6), 20)) % settings.arguments[0]
    names = [np.arange(count).astype(str) for count in (20, settings.arguments[0])]
    return Interactions(users, items, *names, description={"source": "few"})

class Odd:
    pass

plugin = Plugin(metrics={"first": "MODULE:first"}, sources={"few": "MODULE:few"}, encoders={"odd": "MODULE:Odd"})
replacing = Plugin(encoders={"sasrec": "MODULE:Odd"})
lost = Plugin(encoders={"lost": "MODULE:Lost"})
nowhere = Plugin(encoders={"nowhere": "no_such_module:X"})
thing = 3
"""
STUDY = "name: s\nplugins:\n  - {plugin}\nmetrics: {{primary: ndcg@10, report: [ndcg@10, first]}}\n"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A function that writes a module of plug-ins and returns its name; the catalogue is as before afterwards."""
    known = {name: dict(value) for name, value in vars(catalogue).items() if name.isupper() and isinstance(value, dict)}
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = []

    def write(code=CODE):
        name = f"outside_{tmp_path.name}_{len(made)}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(code.replace("MODULE", name))
        made.append(name)
        return name

    yield write
    for name, value in known.items():
        if getattr(catalogue, name) != value:
            getattr(catalogue, name).clear()
            getattr(catalogue, name).update(value)
    for name in made:
        sys.modules.pop(name, None)


def study(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_components_from_outside_may_look_at_any_setting(tmp_path, outside):
    """No rule knows what they look at: their settings are not taken for settings that cannot matter."""
    brought = 'encoders={"odd": "MODULE:Odd"}, couplings={"odd": "MODULE:Odd"}, losses={"odd": "MODULE:Odd"}'
    module = outside(f"from hail_study.study import Plugin\nclass Odd: pass\nplugin = Plugin({brought})\n")
    factors = {
        "encoder.name": ["heads", "inner", "attention_dropout", "norm", "mask", "mask_last", "window", "filters"],
        "peers.coupling": ["gamma", "temperature", "ramp", "forget", "teacher", "momentum", "scale", "truncation"],
        "objective.loss": ["calibration", "bias", "negatives"],
    }
    load(study(tmp_path, f"name: s\nplugins: ['{module}:plugin']\n"))
    for component, settings in factors.items():
        configuration = configure(Configuration(), {component: "odd"})
        section = component.partition(".")[0]
        assert [name for name in settings if not matters(configuration, f"{section}.{name}")] == []


def test_a_study_may_use_what_its_plug_ins_bring(tmp_path, outside):
    module = outside()
    text = STUDY.format(plugin=f"'{module}:plugin'") + "data: {source: few, arguments: [9]}\n"
    found = load(study(tmp_path, text))
    assert found.reference.configuration.data.source == "few"
    from hail_study.data import prepare
    from hail_study.training.metrics import summarise

    assert prepare(found.reference.configuration.data).item_count == 9
    import numpy as np

    assert summarise(np.array([1, 2, 1, 4]))["first"] == 0.5


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("no_such_module:plugin", "`no_such_module` cannot be imported: ModuleNotFoundError"),
        ("{module}:plugn", "has no `plugn`; did you mean `plugin`?"),
        ("{module}:thing", "is a int, not a hail_study.study.Plugin"),
        ("{module}:replacing", "`sasrec` is taken"),
        ("{module}:lost", "has no `Lost`"),
        ("{module}:nowhere", "`no_such_module:X` names no `module:attribute` that can be found"),
        ("absent", "no entry point `absent` in the group hail_study.plugins"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_answered_with_its_line(tmp_path, outside, which, message):
    path = study(tmp_path, STUDY.format(plugin="'" + which.format(module=outside()) + "'"))
    with pytest.raises(StudyError) as error:
        load(path)
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{path}:3:5: plugins[0]: "), first
    assert message in first


def test_a_broken_module_is_the_users_mistake_not_a_traceback(tmp_path, outside):
    path = study(tmp_path, STUDY.format(plugin=f"'{outside('1 / 0')}:plugin'"))
    with pytest.raises(StudyError, match=r"plugins\[0\]: .*cannot be imported: ZeroDivisionError"):
        load(path)


def test_an_installed_package_is_named_without_a_colon(tmp_path, outside, monkeypatch):
    module = outside()
    point = metadata.EntryPoint("mine", f"{module}:plugin", "hail_study.plugins")
    monkeypatch.setattr("hail_study.study.plugins.entry_points", lambda group: [point])
    assert load(study(tmp_path, STUDY.format(plugin="mine"))).file.plugins == ["mine"]
    with pytest.raises(PluginError, match="did you mean `mine`"):
        activate(["min"], tmp_path)


def test_keys_follow_the_code_of_plug_ins_not_its_comments(tmp_path, outside):
    plain, commented, changed = (outside(CODE + more) for more in ("", "\n# a comment\n", "\nmore = 1\n"))
    names = [f"{module}:plugin" for module in (plain, commented, changed)]
    sys.path.append(str(tmp_path))
    versions = []
    for name in names:
        path = tmp_path / f"{name.partition(':')[0]}.py"
        path.write_text(path.read_text().replace(name.partition(":")[0], plain))
        versions.append(path.read_text())
    (tmp_path / f"{plain}.py").write_text(versions[0])
    first = version_of([names[0]], tmp_path)
    (tmp_path / f"{plain}.py").write_text(versions[1])
    assert version_of([names[0]], tmp_path) == first
    (tmp_path / f"{plain}.py").write_text(versions[2])
    assert version_of([names[0]], tmp_path) != first


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """Modules beside a study file and elsewhere; all are found, and none is imported."""
    places = {name: tmp_path / name for name in ("study", "elsewhere", "site-packages")}
    for place in places.values():
        place.mkdir()
        monkeypatch.syspath_prepend(place)
    (places["study"] / "helped_shared").mkdir()
    (places["study"] / "helped_shared" / "deep.py").write_text("GAIN = 1")
    (places["study"] / "helped_gains.py").write_text("import helped_installed\ndef f():\n    import helped_shared.deep")
    (places["site-packages"] / "helped_installed.py").write_text("GAIN = 1")
    (places["elsewhere"] / "helped_beside.py").write_text("import helped_gains, helped_absent, json")
    (places["elsewhere"] / "helped_unused.py").write_text("GAIN = 1")
    (places["elsewhere"] / "helped_plugin.py").write_text(
        "from hail_study.study import Plugin\ndef f():\n    from helped_beside import gain\nplugin = Plugin()"
    )
    yield places
    sys.modules.pop("helped_plugin", None)


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("elsewhere/helped_beside.py", True),
        ("study/helped_gains.py", True),
        ("study/helped_shared/deep.py", True),
        ("site-packages/helped_installed.py", False),
        ("elsewhere/helped_unused.py", False),
    ],
)
def test_keys_follow_the_code_that_plug_ins_import_from_beside_them(tmp_path, helpers, module, counts):
    first = version_of(["helped_plugin:plugin"], helpers["study"])
    path = tmp_path / module
    path.write_text(path.read_text() + "\nmore = 1\n")
    assert (version_of(["helped_plugin:plugin"], helpers["study"]) != first) == counts


def test_the_version_of_the_training_code_has_the_plug_ins_in_it(tmp_path, outside):
    from hail_study.execution.version import training_version

    sys.path.append(str(tmp_path))
    name = f"{outside()}:plugin"
    assert training_version((name,), tmp_path) != training_version() == training_version(())


def test_arms_with_the_same_data_of_a_plug_in_share_them(tmp_path, outside):
    from hail_study.execution.driver import datasets

    text = (
        STUDY.format(plugin=f"'{outside()}:plugin'")
        + "data: {source: few, arguments: [9]}\nvary: {peers.count: [1, 3]}\n"
    )
    found = datasets(load(study(tmp_path, text)))
    assert len(found) == 3
    assert len(set(map(id, found.values()))) == 1
