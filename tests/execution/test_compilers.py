"""What compiles encoders is looked for before anything starts."""

import sysconfig
from dataclasses import replace

import pytest

from hail_study.commands import doctor, main
from hail_study.execution.compilers import lacking, obstacle
from hail_study.execution.room import _unfit
from hail_study.execution.running import work_for
from hail_study.execution.store import Store
from hail_study.execution.work import Work
from hail_study.execution.worker import Worker
from hail_study.models.compilation import COMPILATION, compile_modules
from hail_study.study import load


@pytest.fixture
def without(monkeypatch):
    """A machine that compiles nothing."""
    monkeypatch.setenv("CXX", "no-such-compiler")


def test_a_study_that_cannot_be_compiled_here_is_one_line(tmp_path, monkeypatch, capsys, without):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    path = tmp_path / "study.yaml"
    path.write_text("name: compiled\nvary: {peers.count: [1, 2]}\ncompute:\n  compile: default\n")
    assert main(["run", str(path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(
        f"{path}:4:12: compute.compile: there is no C++ compiler (no-such-compiler): apt install g++"
    )
    assert not (tmp_path / ".hail").exists()


def test_it_is_the_command_line_where_that_said_so(tmp_path, monkeypatch, capsys, without):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    path = tmp_path / "study.yaml"
    path.write_text("name: compiled\nvary: {peers.count: [1, 2]}\n")
    assert main(["run", str(path), "compute.compile=default"]) == 2
    assert "command line: compute.compile=default: there is no C++ compiler" in capsys.readouterr().err


def test_headers_and_triton_are_looked_for_too(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr("hail_study.execution.compilers.find_spec", lambda name: None)
    found = [what for what, _ in lacking(gpu=True)]
    assert found[-2:] == ["Python's headers are missing (Python.h)", "Triton is not installed"]
    assert "Triton" not in "".join(what for what, _ in lacking(gpu=False))
    assert obstacle(gpu=True).endswith("or set compute.compile to none")


def test_a_node_that_cannot_compile_says_so(tmp_path, without):
    store = Store(str(tmp_path))
    with store.marked() as mark:
        work = Work(storage=store.uri, mark=mark)
        compiled = replace(work, compile="default")
        assert _unfit(compiled, gpu=False).startswith("cannot compile: there is no C++ compiler")
        assert _unfit(work, gpu=False) == ""
    assert _unfit(compiled, gpu=False).startswith("cannot use compute.storage")


def test_the_doctor_knows(without):
    found = next(finding for finding in doctor._compiler() if "C++" in finding.text)
    assert found.state == "warning"
    assert found.text == "there is no C++ compiler (no-such-compiler), so compute.compile must stay `none`"


def test_workers_are_told(tmp_path, monkeypatch):
    path = tmp_path / "study.yaml"
    path.write_text("name: compiled\nvary: {peers.count: [1, 2]}\ncompute: {compile: default}\n")
    monkeypatch.setattr("ray.get_gpu_ids", list)
    Worker(work_for(load(path), Store(str(tmp_path / "store")), "", None))
    assert COMPILATION.mode == "default"
    compile_modules("none")
