"""`python -m hail_study.testing`."""

import sys

import pytest

from hail_study.study import catalogue
from hail_study.testing import every
from hail_study.testing.__main__ import main


def test_an_encoder_that_conforms(capsys):
    assert main(["lrurec"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 of 1 components conform"
    assert all(line.endswith("ok") for line in lines[:-1])


def test_a_third_partys_encoder_that_does_not(capsys, tmp_path, monkeypatch):
    body = "    def forward(self, x, padding):\n        return x\n"
    source = f"from hail_study.models import Encoder\n\n\nclass Lazy(Encoder):\n{body}"
    (tmp_path / "theirs.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["theirs:Lazy"]) == 1
    shown = capsys.readouterr().out
    assert "FAILED" in shown
    assert "0 of 1 components conform" in shown


@pytest.mark.parametrize("name", ["sasrek", "hail_study.models:PeerNetwork", "nowhere:Nothing"])
def test_a_wrong_name_is_said(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name])
    assert caught.value.code == 2
    assert name in capsys.readouterr().err


def test_metrics_of_a_kind_and_by_name(capsys):
    assert main(["ndcg@10", "planted"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 of 2 components conform"
    assert any("skipped: the data lie in no file" in line for line in lines)


def test_all_of_a_kind(capsys):
    assert main(["losses"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == f"{len(every('losses'))} of {len(every('losses'))} components conform"
    )


SHARP = """
from hail_study.study import Plugin

def first(ranks):
    return ranks == 1

def last(ranks):
    return ranks > 100

plugin = Plugin(metrics={"first": "sharp:first", "last": "sharp:last"})
nothing = Plugin()
thing = 3
"""


@pytest.fixture
def sharp(tmp_path):
    """A function that writes a study file of the module above; the catalogue is as before afterwards."""
    (tmp_path / "sharp.py").write_text(SHARP)

    def study(plugin):
        (tmp_path / "study.yaml").write_text(f"name: sharp\nplugins: ['sharp:{plugin}']\n")
        return str(tmp_path / "study.yaml")

    yield study
    catalogue.METRICS.clear()
    sys.modules.pop("sharp", None)
    sys.path.remove(str(tmp_path))


def test_what_a_study_brings_is_checked(sharp, capsys):
    assert main([sharp("plugin")]) == 1
    shown = capsys.readouterr().out
    assert "1 of 2 components conform" in shown
    assert "FAILED: the first place is worth no more than the last" in shown


@pytest.mark.parametrize(
    ("plugin", "message"), [("nothing", "bring nothing"), ("thing", "plugins[0]: `sharp:thing` is a int")]
)
def test_a_study_that_brings_nothing_is_said(sharp, capsys, plugin, message):
    with pytest.raises(SystemExit) as caught:
        main([sharp(plugin)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
