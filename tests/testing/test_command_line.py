"""`python -m hail_study.testing`."""

import pytest

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
