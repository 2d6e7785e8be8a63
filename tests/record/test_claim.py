"""The lock on a study: beside its artifacts, or of this machine where these are not local."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hail_study.record import RecordError
from hail_study.record.claim import Claim
from hail_study.record.location import locate
from hail_study.study import RecordSettings

HOLD = """
import sys
from hail_study.record.claim import Claim
from hail_study.record.location import Location
Claim(Location(sys.argv[1], None)).take("remote")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The location of a record on a server; locks lie in a folder of the test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return locate(RecordSettings(tracking="http://nowhere.invalid:5000"), Path.cwd())


def test_a_study_whose_artifacts_are_on_a_server_is_held_by_one_process_of_this_machine(server) -> None:
    assert Claim(server).holder("remote") is None
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, server.tracking], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    assert Claim(server).holder("remote") == other.pid
    assert Claim(server).holder("another") is None
    with pytest.raises(RecordError, match=f"by process {other.pid}"):
        Claim(server).take("remote")
    other.kill()
    other.communicate()
    assert Claim(server).holder("remote") is None
    mine = Claim(server)
    mine.take("remote")
    mine.release()
