import os
from pathlib import Path

import pytest

from hail_study.execution.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def files(store):
    return sorted(path.name for path in Path(store.uri).rglob("*") if path.is_file())


def test_the_newest_checkpoint_comes_first_and_only_two_are_kept(store):
    for epoch in (1, 2, 3):
        store.save("key", epoch, f"state {epoch}".encode())
    assert list(store.checkpoints("key")) == [b"state 3", b"state 2"]


def test_a_torn_checkpoint_is_passed_over(store):
    store.save("key", 1, b"whole")
    store.save("key", 2, b"torn later")
    newest = next(Path(store.uri, "key").glob("epoch-000002-*"))
    newest.write_bytes(b"torn")
    assert list(store.checkpoints("key")) == [b"whole"]


def test_a_trial_without_checkpoints_has_none(store):
    assert list(store.checkpoints("never seen")) == []
    assert store.result_metrics("never seen") is None
    store.forget("never seen")


def test_a_result_counts_only_when_its_metrics_are_there(store):
    store.save_result("key", {"log.txt": b"one line"}, b"{}")
    assert store.result_metrics("key") == b"{}"
    with store.result_folder("key") as folder:
        assert (folder / "log.txt").read_bytes() == b"one line"
    (Path(store.uri) / "key" / "result" / "metrics.json").unlink()
    assert store.result_metrics("key") is None


def test_forgetting_a_trial_leaves_the_others(store):
    store.save("one", 1, b"1")
    store.save("two", 1, b"2")
    store.forget("one")
    assert list(store.checkpoints("one")) == []
    assert list(store.checkpoints("two")) == [b"2"]


def test_check_leaves_nothing_behind(store):
    store.check()
    assert files(store) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_the_earlier_checkpoint_whole(store, monkeypatch):
    store.save("key", 1, b"whole")
    real = store._fs.open_output_stream

    class FullDisk:
        def __getattr__(self, name):
            return getattr(inner, name)

        def open_output_stream(self, path):
            real(path).close()  # the partial file exists, as on a real disk
            return open("/dev/full", "wb", buffering=0)

    inner, store._fs = store._fs, FullDisk()
    with pytest.raises(OSError, match="No space left"):
        store.save("key", 2, os.urandom(1 << 16))
    store._fs = inner
    assert list(store.checkpoints("key")) == [b"whole"]
    assert not [name for name in files(store) if name.endswith(".partial")]
