import json

import pytest

from hail_study.execution.session import Session
from hail_study.execution.store import Attempt, Fenced, Store
from hail_study.execution.tune import together
from hail_study.study import TrialSpec, configure


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def spec_of(configuration, phase="confirm", seed=0):
    return TrialSpec(
        arm="arm",
        arm_name="arm",
        phase=phase,
        seed=seed,
        configuration=configuration,
        fingerprint="data",
        code="code",
        number=0 if phase == "search" else None,
        hyperparameters={},
    )


def run(session):
    results = [session.step()]
    while not results[-1]["done"]:
        results.append(session.step())
    return results


def timeless(metrics):
    return {name: value for name, value in metrics.items() if not name.startswith("seconds")}


def test_a_trial_reports_each_epoch_once_and_its_metrics_at_the_end(tiny, tiny_data, store):
    results = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0))
    assert [entry["epoch"] for result in results for entry in result["entries"]] == [1, 2, 3]
    assert results[-1]["status"] == "finished"
    assert {"test/ndcg@10", "test/peer_1/mrr", "validation/ndcg@10", "seconds", "updates"} <= set(
        results[-1]["metrics"]
    )
    with store.result_folder(spec_of(tiny).key) as folder:
        found = {path.name for path in folder.iterdir()}
    assert found == {"configuration.yaml", "ranks.parquet", "best.safetensors", "log.txt", "metrics.json"}


def test_search_trials_never_see_test_data(tiny, tiny_data, store):
    last = run(Session(spec_of(tiny, "search"), tiny_data, store, "cpu", interval=0))[-1]
    assert not any(name.startswith("test/") for name in last["metrics"])
    with store.result_folder(spec_of(tiny, "search").key) as folder:
        assert not (folder / "ranks.parquet").exists()


def test_a_lost_worker_is_continued_by_another_with_the_same_result(tiny, tiny_data, store, tmp_path):
    whole = run(Session(spec_of(tiny), tiny_data, Store(str(tmp_path / "other")), "cpu", interval=0))[-1]
    Session(spec_of(tiny), tiny_data, store, "cpu", interval=0).step()
    results = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0))
    assert [entry["epoch"] for entry in results[0]["entries"]] == [1, 2]
    assert timeless(results[-1]["metrics"]) == timeless(whole["metrics"])


def test_checkpoints_on_s3_continue_a_lost_worker_too(tiny, tiny_data, store, bucket):
    remote = Store(f"{bucket}/session")
    whole = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0))[-1]
    Session(spec_of(tiny), tiny_data, remote, "cpu", interval=0).step()
    results = run(Session(spec_of(tiny), tiny_data, remote, "cpu", interval=0))
    assert (results[0]["resumed"], results[0]["epoch"]) == (1, 2)
    assert timeless(results[-1]["metrics"]) == timeless(whole["metrics"])
    with remote.result_folder(spec_of(tiny).key) as found, store.result_folder(spec_of(tiny).key) as expected:
        for name in ("ranks.parquet", "best.safetensors"):
            assert (found / name).read_bytes() == (expected / name).read_bytes()


def test_a_result_that_was_never_recorded_is_handed_over_without_training(tiny, tiny_data, store):
    first = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0))[-1]
    again = Session(spec_of(tiny), tiny_data, store, "cpu", interval=0)
    result = again.step()
    assert result["done"]
    assert result["metrics"] == first["metrics"]
    assert [entry["epoch"] for entry in result["entries"]] == [1, 2, 3]
    json.dumps(result)


def test_a_diverging_trial_fails_with_its_reason_and_is_not_retried(tiny, tiny_data, store):
    wild = configure(tiny, {"training.learning_rate": 1e30, "training.clip": 0})
    last = run(Session(spec_of(wild), tiny_data, store, "cpu", interval=0))[-1]
    assert (last["status"], last["value"]) == ("failed", None)
    assert last["error"].startswith("diverged: ")


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_trial(tiny, tiny_data, store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Attempt, "save", full)
    results = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0))
    assert results[-1]["status"] == "finished"
    assert "no checkpoint was kept at epoch 1" in results[0]["notice"]


def test_a_result_that_cannot_be_kept_is_an_error_worth_another_try(tiny, tiny_data, store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Attempt, "save_result", full)
    monkeypatch.setattr("hail_study.execution.session.PATIENCE", 0.0)
    with pytest.raises(OSError, match="No space left"):
        run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=3600))


@pytest.mark.parametrize("written", [(Store, "claim"), (Attempt, "save_result")])
def test_a_store_that_is_full_for_a_while_costs_no_trial_and_is_told_of(tiny, tiny_data, store, monkeypatch, written):
    kind, method = written
    real, refusals = getattr(kind, method), iter([28, 28])

    def full_for_a_while(place, *given):
        if error := next(refusals, None):
            raise OSError(error, "No space left on device")
        return real(place, *given)

    monkeypatch.setattr(kind, method, full_for_a_while)
    monkeypatch.setattr("hail_study.execution.session._WAIT", 0.0)
    results = run(Session(spec_of(tiny), tiny_data, store, "cpu", interval=3600))
    assert results[-1]["status"] == "finished"
    assert [entry["epoch"] for result in results for entry in result["entries"]] == [1, 2, 3]
    notices = [result["notice"] for result in results if "notice" in result]
    assert len(notices) == 2
    assert all("No space left" in notice for notice in notices)


def test_a_worker_whose_trial_was_given_to_another_stops(tiny, tiny_data, store):
    stale = Session(spec_of(tiny), tiny_data, store, "cpu", interval=0)
    stale.step()
    live = Session(spec_of(tiny), tiny_data, store, "cpu", interval=0)
    live.step()
    with pytest.raises(Fenced):
        stale.step()
    assert run(live)[-1]["status"] == "finished"


def test_without_an_interval_passing_no_checkpoint_is_written(tiny, tiny_data, store):
    Session(spec_of(tiny), tiny_data, store, "cpu", interval=3600).step()
    assert list(store.checkpoints(spec_of(tiny).key)) == []


def test_short_epochs_are_reported_together(tiny, tiny_data, store):
    session = Session(spec_of(tiny), tiny_data, store, "cpu", interval=0)
    first, rest = together(session.step, seconds=0), together(session.step, seconds=3600)
    assert [entry["epoch"] for entry in first["entries"]] == [1]
    assert [entry["epoch"] for entry in rest["entries"]] == [2, 3]
    assert (rest["epoch"], rest["done"], rest["status"]) == (3, True, "finished")
    assert first["resumed"] == 0


def test_a_notice_does_not_wait_for_further_epochs(tiny, tiny_data, store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Attempt, "save", full)
    result = together(Session(spec_of(tiny), tiny_data, store, "cpu", interval=0).step, seconds=3600)
    assert [entry["epoch"] for entry in result["entries"]] == [1]
    assert "no checkpoint was kept at epoch 1" in result["notice"]
