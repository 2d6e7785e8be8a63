"""Which commit a record names, on a laptop and on a cluster that has a copy without git."""

import subprocess
import sys

import pytest

from hail_study.execution import provenance as module
from hail_study.execution.provenance import differs, provenance, submission


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one commit, in `tmp_path/checkout`."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "study.yaml").write_text("name: study\n")
    person = ["-c", "user.name=Name", "-c", "user.email=name@example.org"]
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def git(folder, *words):
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def commit_tags(folder):
    return {name: text for name, text in provenance(folder).items() if name.startswith("git.")}


def test_the_commit_and_whether_files_differ_from_it(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert commit_tags(checkout) == {"git.commit": commit, "git.dirty": "false"}
    (checkout / "study.yaml").write_text("name: other\n")
    assert commit_tags(checkout) == {"git.commit": commit, "git.dirty": "true"}


@pytest.mark.parametrize("dirty", [False, True])
def test_a_submitted_study_names_the_commit_it_was_submitted_from(checkout, tmp_path, monkeypatch, dirty):
    if dirty:
        (checkout / "study.yaml").write_text("name: other\n")
    here, there = commit_tags(checkout), tmp_path
    assert commit_tags(there) == {}
    for name, value in submission(checkout).items():
        monkeypatch.setenv(name, value)
    assert commit_tags(there) == here != {}
    assert differs() == ""


def test_no_commit_is_named_where_the_cluster_has_other_code(checkout, monkeypatch):
    for name, value in submission(checkout).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "_code", lambda: "another")
    assert commit_tags(checkout) == {}
    assert git(checkout, "rev-parse", "HEAD")[:12] in differs()
    assert "`ray up`" in differs()


def test_an_image_names_the_commit_it_was_built_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HAIL_SUBMITTED", "abc")
    assert commit_tags(tmp_path) == {"git.commit": "abc", "git.dirty": "false"}


def test_outside_a_checkout_nothing_is_told(tmp_path):
    assert submission(tmp_path) == {}
    assert differs() == ""


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["hail-study", "run", "a b.yaml"], "hail-study run 'a b.yaml'"),
        (["run.py", "study.yaml", "seeds=2"], "python -m hail_study.run study.yaml seeds=2"),
    ],
)
def test_the_command_is_one_that_can_be_given_again(tmp_path, monkeypatch, words, command):
    monkeypatch.setattr(sys, "argv", words)
    assert provenance(tmp_path)["command"] == command
