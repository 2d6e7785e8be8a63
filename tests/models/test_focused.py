import pytest
import torch

from hail_study.models.focused import CHUNK, FocusedNetwork, log_normaliser
from hail_study.models.readouts import INFERENCE
from hail_study.study import Configuration

ITEMS = 30


def network(lags=2, peers=2, tied=True):
    raw = {
        "data": {"source": "planted", "max_length": 8},
        "encoder": {"dim": 8, "blocks": 1, "heads": 2, "dropout": 0.0, "tied": tied},
        "peers": {"count": peers, "coupling": "independent"},
        "readout": {"paradigm": "lvml", "lags": lags},
    }
    made = FocusedNetwork(Configuration.model_validate(raw), ITEMS, [0]).double().eval()
    for parameter in made.parameters():  # initial weights are small: make differences visible
        parameter.data *= 8
    return made


def batch():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, ITEMS + 1, (3, 6), generator=generator)
    ids[1, 4:] = 0
    where = torch.arange(6).expand(3, -1)
    targets = torch.randint(1, ITEMS + 1, (3, 6), generator=generator)
    return ids, where, targets


def one_by_one(made, ids, where, targets, reading):
    """Every segment's distribution for every target, from the definition: [S, N, L, V]."""
    table, vectors = made.table(), made.stack.items.weight
    rows = []
    for b in range(3):
        for t in where[b].tolist():
            segments = []
            for i in range(6):
                place = min(max(t - i, 0), made.lags - 1)
                vector = vectors[:, ids[b, i]] + made.place.weight[:, place]
                logits = (made.transition(vector[:, None]) @ table[:, 1:].transpose(1, 2))[:, 0]
                segments.append(logits)
            rows.append(torch.stack(segments, 1))
    return torch.stack(rows, 1)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("lags", [1, 2, 4])
def test_predictions_of_single_items_equal_the_definition(lags, tied):
    made, (ids, where, targets) = network(lags, tied=tied), batch()
    reading = made.read(ids, where, targets)
    logits = one_by_one(made, ids, where, targets, reading)
    index = (targets.flatten() - 1)[None, :, None, None].expand(2, -1, 6, 1)
    expected = logits.log_softmax(-1).gather(-1, index)[..., 0]
    real = (reading.lags >= 0).expand(2, -1, -1)
    torch.testing.assert_close(reading.each()[real], expected[real])


def test_predictions_by_every_rule_equal_the_definition():
    made, (ids, where, targets) = network(), batch()
    reading = made.read(ids, where, targets)
    logits = one_by_one(made, ids, where, targets, reading)
    focus = reading.log_focus.exp()
    hard = torch.nn.functional.one_hot(focus.argmax(-1), 6).double()
    expected = {
        "mixture": (focus[..., None] * logits.softmax(-1)).sum(2),
        "argmax": (hard[..., None] * logits).sum(2).softmax(-1),
        "logits": (focus[..., None] * logits).sum(2).softmax(-1),
    }
    for rule in INFERENCE:
        found = reading.predict(rule)[..., 1:].softmax(-1)
        if rule in expected:
            torch.testing.assert_close(found, expected[rule])
    index = (targets.flatten() - 1)[None, :, None].expand(2, -1, 1)
    for rule, right in (("average", reading.averaged(focus)), ("logits", reading.averaged_logits(focus))):
        torch.testing.assert_close(reading.predict(rule)[..., 1:].log_softmax(-1).gather(-1, index)[..., 0], right)


def test_the_focus_sees_no_padding_and_no_future():
    made, (ids, where, targets) = network(), batch()
    focus = made.read(ids, where, targets).log_focus.exp()
    assert (focus[:, made.read(ids, where, targets).lags < 0] == 0).all()
    later = ids.clone()
    later[0, 4:] = 7
    changed = made.read(later, where, targets).log_focus.exp()
    torch.testing.assert_close(focus[:, :4], changed[:, :4])


def test_an_item_taken_out_of_focus_gets_none():
    made, (ids, where, targets) = network(), batch()
    reading = made.read(ids, where, targets)
    top = reading.log_focus.argmax(-1)
    rest = reading.without(top).log_focus.exp()
    several = (reading.lags >= 0).sum(-1) > 1
    assert (rest.gather(-1, top[..., None])[:, several] == 0).all()
    torch.testing.assert_close(rest.sum(-1), torch.ones(2, 18, dtype=torch.float64))


@pytest.mark.parametrize("chunk", [1, 100, CHUNK])
def test_the_normaliser_and_its_gradients_do_not_depend_on_the_chunks(chunk, monkeypatch):
    monkeypatch.setattr("hail_study.models.focused.CHUNK", chunk)
    states = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    table = torch.randn(2, 9, 4, dtype=torch.float64, requires_grad=True)
    expected = (states @ table[:, 1:].transpose(1, 2)).logsumexp(-1)
    torch.testing.assert_close(log_normaliser(states, table), expected)
    assert torch.autograd.gradcheck(log_normaliser, (states, table))
