"""What the head's shell is given by `hail-study submit`, in a real shell with a study that is a stand-in."""

import os
import shutil
import subprocess

import pytest

from hail_study.commands.submit import remote_line

pytestmark = pytest.mark.skipif(
    shutil.which("setsid") is None or shutil.which("tail") is None, reason="needs the shell of a Linux head"
)


@pytest.fixture
def head(tmp_path):
    """Runs a line as the head does; `hail-study` says what it was given, then ends with 3."""
    (tmp_path / "study").mkdir()
    command = tmp_path / "hail-study"
    command.write_text('#!/bin/sh\nprintf "%s|" "$@"; sleep 0.2; echo trained; exit 3\n')
    command.chmod(0o755)
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(line):
        return subprocess.run(["bash", "-c", f"true && ({line})"], env=environment, capture_output=True, text=True)

    return run


def test_what_the_study_prints_is_seen_and_its_status_returned(head, tmp_path):
    done = head(remote_line("studies/a b.yaml", ["seeds=2", "peers.count=[1, 2]"], detach=False, told={}))
    assert done.stdout == "run|studies/a b.yaml|seeds=2|peers.count=[1, 2]|--address|auto|trained\n"
    assert (done.returncode, done.stderr) == (3, "")
    assert (tmp_path / "study" / "a b.log").read_text() == done.stdout


def test_the_driver_is_told_in_its_environment(head, tmp_path):
    (tmp_path / "hail-study").write_text('#!/bin/sh\necho "$HAIL_SUBMITTED"\n')
    done = head(remote_line("study.yaml", [], detach=False, told={"HAIL_SUBMITTED": "abc-dirty 'def'"}))
    assert done.stdout == "abc-dirty 'def'\n"


def test_the_log_is_there_before_it_is_watched():
    """Else a busy head's `tail` finds nothing, ends, and the study runs unseen."""
    line = remote_line("study.yaml", [], detach=False, told={})
    assert line.index(": > study.log") < line.index("setsid") < line.index("tail")


def test_a_second_study_starts_a_new_log(head, tmp_path):
    for _ in range(2):
        head(remote_line("study.yaml", [], detach=False, told={}))
    assert (tmp_path / "study" / "study.log").read_text().count("trained") == 1


def test_detached_it_returns_at_once(head):
    done = head(remote_line("study.yaml", [], detach=True, told={}))
    assert (done.returncode, done.stdout) == (0, "")
