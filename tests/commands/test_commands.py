"""The command line as its users meet it: help, mistakes, files it writes."""

import json
import subprocess
import sys
import time
import zipfile
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace

import pytest

from hail_study.commands import COMMANDS, doctor, main
from hail_study.commands.doctor import package
from hail_study.study import load

ANSWERS = ("asked\n", "\n", "\n", "\n", "ten\n", "10\n")
"""To the questions of `hail-study new`."""


def test_every_command_has_help_with_examples(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        shown = capsys.readouterr().out
        assert stop.value.code == 0
        assert "examples:" in shown
        assert f"hail-study {name}" in shown


def test_the_overview_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert all(f"  {name} " in text for text in [capsys.readouterr().out] for name in COMMANDS)


def test_help_and_mistakes_load_nothing_heavy(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nbase: {encoder: {nmae: sasrec}}\n")
    script = (
        "import sys\n"
        "from hail_study.commands import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as stop: status = stop.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "print(status, sorted(heavy))"
    )
    with_study = ["run", "plan", "status", "stop", "best", "ui"]
    for arguments, status in [(["--help"], 0), *(([name, str(bad)], 2) for name in with_study)]:
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == f"{status} []", done.stdout + done.stderr
        assert not status or "did you mean `name`?" in done.stderr


def test_an_unknown_command_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["rnu"])
    assert stop.value.code == 2
    assert "run" in capsys.readouterr().err


def test_a_new_study_file_can_be_planned_as_it_is(tmp_path, capsys):
    path = tmp_path / "new.yaml"
    options = ["--name", "fresh", "--vary", "peers.count=1,2,4", "--search", "6", "--seeds", "7"]
    assert main(["new", *options, "--output", str(path)]) == 0
    study = load(path)
    assert {arm.name for arm in study.arms} == {"reference", "without coupling", "peers.count=1", "peers.count=4"}
    assert (study.file.search.trials, study.file.seeds) == (6, 7)
    assert main(["new", "--output", str(path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_new_study_file_with_a_mistake_is_not_given_out(tmp_path, capsys):
    assert main(["new", "--vary", "peers.cuont=1,2"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "`peers.count`" in shown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_every_command(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    if shell == "bash":
        ask = f"{script}\nCOMP_WORDS=(hail-study pl); COMP_CWORD=1; _hail_study; echo $COMPREPLY"
        assert subprocess.check_output(["bash", "-c", ask], text=True).strip() == "plan"


def test_missing_and_unfit_packages_come_with_a_remedy():
    assert package("no-such-package>=1").remedy == 'pip install "no-such-package>=1"'
    assert package("numpy<1").state == "wrong"
    assert package("numpy>1").state == "ok"


def test_the_doctor_has_a_remedy_for_each_full_disk_and_a_wrong_clock(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", "/ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1e9))
    now = time.time()
    monkeypatch.setattr(doctor.time, "time", lambda: now + 60)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert f"1.0 GB free in {tmp_path}\n{'':18}-> free some, or run elsewhere" in shown
    assert f"1.0 GB free in /ray\n{'':18}-> set RAY_TMPDIR to a larger disk" in shown
    assert f"60 s from the disk's\n{'':18}-> synchronise it" in shown


def test_doubtful_data_are_told_from_fit_and_from_unreadable(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{user},{item},{user + item}" for user in range(150) for item in range(user % 7, user % 7 + 8)]
    Path("good.csv").write_text("\n".join(["user,item,time", *lines]))
    assert main(["data", "check", "good.csv"]) == 0
    assert capsys.readouterr().out.strip() == "fit"
    Path("timeless.csv").write_text("\n".join(["user,item", *(line.rpartition(",")[0] for line in lines)]))
    assert main(["data", "check", "timeless.csv"]) == 1
    assert "no time column" in capsys.readouterr().out
    assert main(["data", "check", "none.csv"]) == 2
    Path("thin.csv").write_text(
        "\n".join(["user,item,time", *(f"{u},{u % 7 + i},{i}" for u in range(150) for i in range(2))])
    )
    assert main(["data", "check", "thin.csv"]) == 2  # as a study would: of its 5-core nothing is left
    assert "5-core" in capsys.readouterr().err
    assert main(["data", "check", "thin.csv", "data.k_core=0"]) == 2
    assert "no user is left for validation by leaving out the last 2 items" in capsys.readouterr().err


def test_generated_examples_can_be_checked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(
        "name: x\ndata: {source: mosaic}\nbase: {readout: {paradigm: soft}, peers: {count: 1}}\n"
        "metrics: {primary: accuracy, report: [accuracy]}\n"
    )
    assert main(["data", "check", "study.yaml"]) == 0
    assert capsys.readouterr().out.strip().endswith("fit")


def test_a_number_that_is_none_is_asked_for_again(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True, readline=iter(ANSWERS).__next__))
    assert main(["new"]) == 0
    shown = capsys.readouterr()
    assert "`ten` is not a whole number. Seeds [5]: " in shown.err
    assert "seeds: 10 " in shown.out


def test_data_are_described_for_machines(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text("name: x\ndata: {source: planted, users: 50, items: 30}\nvary: {peers.count: [1]}\n")
    assert main(["data", "describe", "study.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["after"]["users"] == 50


def test_a_fetched_data_set_is_checked_and_converted(tmp_path):
    from hail_study.data import DataError
    from hail_study.data.fetch import Source, fetch

    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("set/ratings.dat", "1::7::5::100\n2::8::4::101\n")
    checksum = tmp_path / "set.zip.md5"
    checksum.write_text(md5(archive.read_bytes()).hexdigest())
    source = {"set": Source("a set", archive.as_uri(), "set/ratings.dat", "::")}
    path = fetch("set", tmp_path / "data", source)
    assert path.read_text() == "user,item,time\n1,7,100\n2,8,101\n"
    checksum.write_text("0" * 32)
    with pytest.raises(DataError, match="MD5"):
        fetch("set", tmp_path / "other", source)
    with pytest.raises(DataError, match="did you mean `set`"):
        fetch("sets", tmp_path, source)
