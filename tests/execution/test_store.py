import os
from pathlib import Path
from uuid import uuid4

import pytest
from pyarrow import fs

from hail_study.execution.driver import checkpoints, storage
from hail_study.execution.store import Fenced, Store, StoreFull
from hail_study.record import Record
from hail_study.study import Compute, Study, StudyError, StudyFile


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    """Both kinds keep the same promises."""
    if request.param == "folder":
        return Store(str(tmp_path / "store"))
    return Store(f"{request.getfixturevalue('bucket')}/{uuid4().hex}")


@pytest.fixture
def folder_store(tmp_path):
    return Store(str(tmp_path / "store"))


def files(store):
    selector = fs.FileSelector(store._root, allow_not_found=True, recursive=True)
    return sorted(info.base_name for info in store._fs.get_file_info(selector) if info.type == fs.FileType.File)


def test_the_newest_checkpoint_comes_first_and_only_two_are_kept(store):
    attempt = store.claim("key")
    for epoch in (1, 2, 3):
        attempt.save(epoch, f"state {epoch}".encode())
    assert list(store.checkpoints("key")) == [b"state 3", b"state 2"]


def test_a_torn_checkpoint_is_passed_over(store):
    attempt = store.claim("key")
    attempt.save(1, b"whole")
    attempt.save(2, b"torn later")
    with store._fs.open_output_stream(store.checkpoint_paths("key")[0]) as newest:
        newest.write(b"torn")
    assert list(store.checkpoints("key")) == [b"whole"]


def test_a_trial_without_checkpoints_has_none(store):
    assert list(store.checkpoints("never seen")) == []
    assert store.result_metrics("never seen") is None
    store.forget("never seen")


def test_a_result_counts_only_when_its_metrics_are_there(store):
    store.claim("key").save_result({"log.txt": b"one line"}, b"{}")
    assert store.result_metrics("key") == b"{}"
    with store.result_folder("key") as folder:
        assert (folder / "log.txt").read_bytes() == b"one line"
    store.discard(store._results("key")[0])
    assert store.result_metrics("key") is None
    with pytest.raises(FileNotFoundError), store.result_folder("key"):
        pass


def test_a_process_that_was_cut_off_can_spoil_nothing(store):
    stale = store.claim("key")
    stale.save(1, b"stale 1")
    live = store.claim("key")
    live.save(2, b"live 2")
    for write in (lambda: stale.save(5, b"stale 5"), lambda: stale.save_result({}, b"stale")):
        with pytest.raises(Fenced):
            write()
    assert list(store.checkpoints("key")) == [b"live 2", b"stale 1"]
    live.save_result({"log.txt": b"live"}, b"live")
    assert store.result_metrics("key") == b"live"


def test_a_result_is_of_one_process_even_where_a_stale_one_passed_the_check_in_time(store, monkeypatch):
    stale, live = store.claim("key"), store.claim("key")
    live.save_result({"log.txt": b"live"}, b"live")
    monkeypatch.setattr(store, "is_newest", lambda *_: True)
    stale.save_result({"log.txt": b"stale"}, b"stale")
    assert store.result_metrics("key") == b"live"
    with store.result_folder("key") as folder:
        assert (folder / "log.txt").read_bytes() == b"live"


def test_a_trial_that_was_forgotten_is_not_written_any_more(store):
    stale = store.claim("key")
    store.forget("key")
    with pytest.raises(Fenced):
        stale.save(9, b"stale")
    assert files(store) == []


def test_another_folder_of_the_same_name_is_told_from_the_store(store):
    mark = store.mark()
    Store(store.uri).require(mark)
    with pytest.raises(OSError, match=r"^node .* has another .* than the study's driver"):
        Store(f"{store.uri}-elsewhere").require(mark)
    store.unmark(mark)
    assert files(store) == []


def test_forgetting_a_trial_leaves_the_others(store):
    store.claim("one").save(1, b"1")
    store.claim("two").save(1, b"2")
    store.forget("one")
    assert list(store.checkpoints("one")) == []
    assert list(store.checkpoints("two")) == [b"2"]


def test_check_leaves_nothing_behind(store):
    store.check()
    assert files(store) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_the_earlier_checkpoint_whole(folder_store):
    store = folder_store
    attempt = store.claim("key")
    attempt.save(1, b"whole")
    real = store._fs.open_output_stream

    class FullDisk:
        def __getattr__(self, name):
            return getattr(inner, name)

        def open_output_stream(self, path):
            real(path).close()  # the partial file exists, as on a real disk
            return open("/dev/full", "wb", buffering=0)

    inner, store._fs = store._fs, FullDisk()
    with pytest.raises(StoreFull, match=r"compute.storage .* is full \(.* free\); free some space"):
        attempt.save(2, os.urandom(1 << 16))
    store._fs = inner
    assert list(store.checkpoints("key")) == [b"whole"]
    assert not [name for name in files(store) if name.endswith(".partial")]


def test_a_store_named_by_the_environment_must_hold_no_password(monkeypatch, tmp_path):
    monkeypatch.setenv("HAIL_STORAGE", "s3://key:sec/ret@bucket/folder")
    with pytest.raises(StudyError, match="HAIL_STORAGE: credentials do not belong") as refused:
        storage(Compute(), tmp_path)
    assert "sec/ret" not in str(refused.value)
    monkeypatch.setenv("HAIL_STORAGE", "s3://bucket/folder")
    assert storage(Compute(), tmp_path) == "s3://bucket/folder"


def test_every_study_keeps_its_checkpoints_in_a_place_of_its_own(tmp_path, monkeypatch):
    """Also two of one name with records of their own, where they share a place."""
    monkeypatch.delenv("HAIL_STORAGE", raising=False)

    def place(name, folder, **compute):
        study = Study(StudyFile(name=name, compute=Compute(**compute)), folder / "study.yaml", "", ())
        return checkpoints(study, Record(study.file.record, folder), folder)

    here, there = tmp_path / "here", tmp_path / "there"
    assert place("one", here) == f"{here}/.hail/one"
    assert place("two", here) == f"{here}/.hail/two"
    shared = {place("one", folder, storage="s3://bucket/hail") for folder in (here, there)}
    assert len(shared) == 2
    assert all(one.startswith("s3://bucket/hail/one-") for one in shared)
    assert place("one", here, storage="s3://bucket/hail/?region=x").endswith("?region=x")
    assert place("one", here, storage=str(there)) != place("one", there, storage=str(there))
