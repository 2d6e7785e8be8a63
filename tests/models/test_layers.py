"""Slots are independent, and each is the plain layer."""

import pytest
import torch
import torch.nn.functional as F

from hail_study.models.attention import Attention
from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import LayerNorm, Linear


def random_weights(layer: torch.nn.Module) -> torch.nn.Module:
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("slots", [1, 3])
def test_linear_is_a_plain_linear_layer_in_every_slot(slots):
    layer, x = random_weights(Linear(slots, 4, 6)), torch.randn(slots, 2, 5, 4)
    expected = torch.stack([F.linear(x[s], layer.weight[s].T, layer.bias[s, 0]) for s in range(slots)])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("slots", [1, 3])
def test_layer_norm_is_a_plain_layer_norm_in_every_slot(slots):
    layer, x = random_weights(LayerNorm(slots, 4)), torch.randn(slots, 2, 5, 4)
    expected = torch.stack([F.layer_norm(x[s], (4,), layer.weight[s], layer.bias[s], 1e-8) for s in range(slots)])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("causal", [True, False])
def test_dropped_attention_without_drops_is_fused_attention(causal):
    layer = random_weights(Attention(2, 8, 2, causal, 1e-9, Streams([0, 1])))
    x, padding = torch.randn(2, 3, 5, 8), torch.zeros(2, 3, 5, dtype=torch.bool)
    padding[:, :, 3:] = not causal
    mask = None if causal else padding
    torch.testing.assert_close(layer.train()(x, mask), layer.eval()(x, mask))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(rate):
    dropped = Dropout(rate, Streams([0])).train()(torch.ones(1, 100, 100, 10))
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=0.006)
    assert dropped.unique().tolist() == [0.0, pytest.approx(1 / (1 - rate), rel=1e-4)]
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)


def test_dropout_masks_do_not_repeat_themselves():
    mask = Streams([0]).mask((1, 64, 64, 4), 0.5, torch.device("cpu")).flatten().sign()
    for lag in (1, 2, 3, 4, 64, 4096):
        agreement = float((mask[lag:] == mask[:-lag]).float().mean())
        assert agreement == pytest.approx(0.5, abs=0.03)


def test_dropout_gradient_uses_the_mask_of_the_forward_pass():
    x = torch.ones(1, 5, 6, 7, requires_grad=True)
    y = Dropout(0.5, Streams([0])).train()(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
