import pytest
import torch

from hail_study.models.focused import FocusedNetwork
from hail_study.study import Configuration
from hail_study.tasks.attribution import integrated_gradients


def test_attributions_add_up_to_what_the_score_gained():
    torch.manual_seed(0)
    vectors, weight = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)

    def score(x):
        return ((x @ weight).tanh() + x.square().sum(-1)).sum()

    found = integrated_gradients(vectors, score, points=200)
    assert found.shape == (4,)
    assert found.sum().item() == pytest.approx((score(vectors) - score(torch.zeros_like(vectors))).item(), rel=1e-4)


def test_a_linear_score_is_attributed_exactly():
    vectors = torch.arange(6.0).view(3, 2)
    torch.testing.assert_close(integrated_gradients(vectors, lambda x: (x[:, 0] * 2).sum()), vectors[:, 0] * 2)


@pytest.mark.parametrize("share", [["embedding", "head"], []])
@pytest.mark.parametrize("encoder", ["sasrec", "gru4rec", "lrurec"])
def test_items_given_as_vectors_are_read_as_the_items(share, encoder):
    raw = {
        "data": {"source": "planted", "max_length": 6},
        "encoder": {"name": encoder, "dim": 8, "blocks": 1, "dropout": 0.0},
        "peers": {"count": 2, "coupling": "independent", "share": share},
        "readout": {"paradigm": "lvml"},
    }
    network = FocusedNetwork(Configuration.model_validate(raw), 20, [0]).eval()
    ids, where, targets = torch.tensor([[3, 5, 3, 9], [1, 2, 0, 0]]), torch.tensor([[3], [1]]), torch.tensor([[7], [4]])
    plain = network.read(ids, where, targets)
    given = network.read(ids, where, targets, network.vectors(ids))
    torch.testing.assert_close(given.log_focus, plain.log_focus)
    real = (plain.lags >= 0).expand_as(plain.log_focus)
    torch.testing.assert_close(given.each()[real], plain.each()[real])
    for rule in ("argmax", "mixture", "average", "logits"):
        index = (targets - 1).expand(2, -1, -1)
        expected = plain.predict(rule)[..., 1:].log_softmax(-1).gather(-1, index)[..., 0]
        torch.testing.assert_close(given.by(rule), expected)
