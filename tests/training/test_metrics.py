import numpy as np
import pytest

from hail_study.training.metrics import Ranking, gains, summarise


def test_metrics_of_known_ranks():
    ranks = np.array([1, 2, 11], dtype=np.int32)
    assert summarise(ranks, ["hr@1", "hr@10", "ndcg@10", "mrr"]) == pytest.approx(
        {"hr@1": 1 / 3, "hr@10": 2 / 3, "ndcg@10": (1 + 1 / np.log2(3)) / 3, "mrr": (1 + 1 / 2 + 1 / 11) / 3}
    )


@pytest.mark.parametrize("metric", ["hr", "ndcg@", "mrr@10", "auc", "hr@-1"])
def test_an_unknown_metric_is_refused(metric):
    with pytest.raises(ValueError, match="unknown metric"):
        gains(metric, np.array([1], dtype=np.int32))


def test_peers_are_reported_one_by_one_only_where_there_are_several():
    users, ranks = np.arange(2, dtype=np.int32), np.array([[1, 3], [2, 2]], dtype=np.int32)
    assert "peer_1/hr@1" in Ranking(users, ranks[0], ranks).metrics()
    assert not any("peer" in name for name in Ranking(users, ranks[0], ranks[:1]).metrics())
