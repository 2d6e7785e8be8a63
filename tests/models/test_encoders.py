"""Each encoder against a plain single network written with torch.nn."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.bert4rec import BERT4Rec
from hail_study.models.caser import Caser
from hail_study.models.dropout import Streams
from hail_study.models.fmlprec import CausalFilter, FMLPRec
from hail_study.models.gru4rec import GRU, GRU4Rec, recur
from hail_study.models.layers import initialise
from hail_study.models.lrurec import LinearRecurrence, LRURec, scan
from hail_study.models.rnn import Rnn
from hail_study.models.sasrec import SASRec
from hail_study.models.tcn import Tcn
from hail_study.study.configuration import Encoder

SLOTS, USERS, LENGTH, DIM = 2, 3, 7, 8


def build(kind, **settings):
    """An encoder with all weights random, also those that start at a constant."""
    encoder = kind(Encoder(**({"dim": DIM, "heads": 2, "blocks": 2} | settings)), SLOTS, LENGTH, Streams([0, 1])).eval()
    initialise(encoder, [torch.Generator().manual_seed(slot) for slot in range(SLOTS)])
    for weight in encoder.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
    return encoder


def vectors() -> Tensor:
    return torch.randn(SLOTS, USERS, LENGTH, DIM, generator=torch.Generator().manual_seed(1))


NO_PADDING = torch.zeros(SLOTS, USERS, LENGTH, dtype=torch.bool)


def linear(layer, slot: int) -> nn.Linear:
    one = nn.Linear(layer.weight.shape[1], layer.weight.shape[2], bias=layer.bias is not None)
    one.weight.data = layer.weight[slot].T
    if layer.bias is not None:
        one.bias.data = layer.bias[slot, 0]
    return one


def norm(layer, slot: int) -> nn.LayerNorm:
    one = nn.LayerNorm(DIM, eps=layer.epsilon)
    one.weight.data, one.bias.data = layer.weight[slot], layer.bias[slot]
    return one


def gru(layer: GRU, slot: int) -> nn.GRU:
    one = nn.GRU(DIM, DIM, batch_first=True)
    one.weight_ih_l0.data, one.bias_ih_l0.data = layer.inputs.weight[slot].T, layer.inputs.bias[slot, 0]
    one.weight_hh_l0.data, one.bias_hh_l0.data = layer.weight[slot].T, layer.bias[slot, 0]
    return one


@pytest.mark.plain("gru4rec")
def test_gru4rec_is_stacked_torch_grus():
    encoder, x = build(GRU4Rec), vectors()
    states = encoder(x, NO_PADDING)
    for slot in range(SLOTS):
        y = x[slot]
        for layer in encoder.layers:
            y = gru(layer, slot)(y)[0]
        torch.testing.assert_close(states[slot], linear(encoder.dense, slot)(y), rtol=1e-4, atol=1e-5)


def test_gru_starts_as_torchs_does():
    layer = GRU(1, 64)
    initialise(layer, [torch.Generator().manual_seed(0)])
    for weight in layer.parameters():
        assert weight.abs().max() <= 1 / 8
        assert float(weight.std()) == pytest.approx(1 / 8 / 3**0.5, rel=0.2)


def test_the_gradient_of_the_recurrence():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 9), (2, 3, 9), (2, 1, 9)]
    arguments = [torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(recur, arguments)


def test_the_gradient_of_the_scan():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 3, 5, 4, dtype=torch.complex128, generator=generator, requires_grad=True)
    rate = (0.5 * torch.randn(2, 4, dtype=torch.complex128, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(scan, (inputs, rate))


def test_linear_recurrence_is_its_definition():
    unit, x = LinearRecurrence(SLOTS, DIM, 12), vectors()
    initialise(unit, [torch.Generator().manual_seed(slot) for slot in range(SLOTS)])
    found = unit(x)
    rate = torch.exp(torch.complex(-unit.nu.exp(), unit.theta.exp()))
    for slot in range(SLOTS):
        state = torch.zeros(USERS, 12, dtype=torch.complex64)
        for t in range(LENGTH):
            driven = linear(unit.inputs, slot)(x[slot, :, t]).view(USERS, 12, 2)
            state = rate[slot] * state + unit.gamma[slot].exp() * torch.complex(driven[..., 0], driven[..., 1])
            out = linear(unit.outputs, slot)(torch.view_as_real(state).flatten(1))
            torch.testing.assert_close(found[slot, :, t], out, rtol=1e-4, atol=1e-5)


def test_linear_recurrence_starts_on_its_ring():
    unit = LinearRecurrence(1, 64, 4000)
    initialise(unit, [torch.Generator().manual_seed(0)])
    radius = torch.exp(-unit.nu.exp())
    assert radius.min() >= 0.8 - 1e-5
    assert radius.max() <= 0.99 + 1e-5
    assert float(radius.square().mean()) == pytest.approx((0.8**2 + 0.99**2) / 2, abs=0.01)  # uniform in area
    torch.testing.assert_close(unit.gamma.exp(), (1 - radius.square()).sqrt(), rtol=1e-3, atol=1e-4)


@pytest.mark.plain("lrurec")
def test_lrurec_is_post_norm_residual_blocks():
    encoder, x = build(LRURec), vectors()
    states = encoder(x, NO_PADDING)
    y = x
    for block in encoder.blocks:
        mixed = y + block.unit(y)
        y = torch.stack([norm(block.norm_unit, slot)(mixed[slot]) for slot in range(SLOTS)])
        fed = [
            y[slot] + linear(block.feed.narrow, slot)(F.gelu(linear(block.feed.widen, slot)(y[slot])))
            for slot in range(SLOTS)
        ]
        y = torch.stack([norm(block.norm_feed, slot)(fed[slot]) for slot in range(SLOTS)])
    torch.testing.assert_close(states, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 4, LENGTH])
def test_the_filter_is_a_causal_convolution(length):
    layer, x = CausalFilter(SLOTS, DIM, LENGTH), vectors()[:, :, :length]
    nn.init.normal_(layer.weight)
    kernel = torch.fft.irfft(torch.view_as_complex(layer.weight), 2 * LENGTH, dim=1)  # [S, 2 L, D]
    expected = torch.zeros_like(x)
    for t in range(length):
        for lag in range(t + 1):
            expected[:, :, t] += kernel[:, lag][:, None] * x[:, :, t - lag]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_fmlprec_trains_its_filters_through_the_transform():
    encoder = build(FMLPRec)
    encoder(vectors(), NO_PADDING).square().sum().backward()
    assert all(block.filter.weight.grad.abs().max() > 0 for block in encoder.blocks)


@pytest.mark.plain("caser")
def test_caser_is_its_convolutions_on_windows():
    encoder, x = build(Caser, window=3, filters=4), vectors()
    states = encoder(x, NO_PADDING)
    for slot in range(SLOTS):
        for t in range(LENGTH):
            window = F.pad(x[slot], (0, 0, 2, 0))[:, t : t + 3]  # [B, 3, D], nothing before the first item
            found = []
            for height, layer in enumerate(encoder.horizontal, 1):
                convolution = nn.Conv2d(1, 4, (height, DIM))
                convolution.weight.data = layer.weight[slot].T.reshape(4, 1, height, DIM)
                convolution.bias.data = layer.bias[slot, 0]
                found.append(convolution(window[:, None]).relu()[..., 0].amax(-1))
            found.append((window.transpose(1, 2) @ encoder.vertical.weight[slot]).flatten(1))
            expected = linear(encoder.dense, slot)(torch.cat(found, -1))
            torch.testing.assert_close(states[slot, :, t], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.plain("fmlprec")
def test_fmlprec_is_filters_and_feed_forward_layers_with_post_norm():
    encoder, x = build(FMLPRec), vectors()
    states = encoder(x, NO_PADDING)
    for slot in range(SLOTS):
        y = x[slot]
        for block in encoder.blocks:
            kernel = torch.fft.irfft(torch.view_as_complex(block.filter.weight), 2 * LENGTH, dim=1)[slot]  # [2 L, D]
            filtered = torch.stack([sum(kernel[s] * y[:, t - s] for s in range(t + 1)) for t in range(LENGTH)], 1)
            y = norm(block.norm_filter, slot)(y + filtered)
            fed = linear(block.feed.narrow, slot)(F.gelu(linear(block.feed.widen, slot)(y)))
            y = norm(block.norm_feed, slot)(y + fed)
        torch.testing.assert_close(states[slot], y, rtol=1e-4, atol=1e-5)


@pytest.mark.plain("rnn")
def test_rnn_is_stacked_torch_rnns():
    encoder, x = build(Rnn), vectors()
    states = encoder(x, NO_PADDING)
    for slot in range(SLOTS):
        y = x[slot]
        for layer in encoder.layers:
            one = nn.RNN(DIM, DIM, batch_first=True)
            one.weight_ih_l0.data, one.bias_ih_l0.data = layer.inputs.weight[slot].T, layer.inputs.bias[slot, 0]
            one.weight_hh_l0.data, one.bias_hh_l0.data = layer.weight[slot].T, torch.zeros(DIM)
            y = one(y)[0]
        torch.testing.assert_close(states[slot], y, rtol=1e-4, atol=1e-5)


@pytest.mark.plain("tcn")
def test_tcn_is_dilated_torch_convolutions():
    encoder, x = build(Tcn, window=3), vectors()
    states = encoder(x, NO_PADDING)
    for slot in range(SLOTS):
        y = x[slot].transpose(1, 2)  # [B, D, L]
        for index, block in enumerate(encoder.blocks):
            one = nn.Conv1d(DIM, DIM, 3, dilation=2**index)
            one.weight.data = block.mix.weight[slot].view(3, DIM, DIM).permute(2, 1, 0)
            one.bias.data = block.mix.bias[slot, 0]
            y = y + one(F.pad(y, (2 * 2**index, 0))).relu()
        torch.testing.assert_close(states[slot], y.transpose(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.plain("bert4rec", "sasrec")
@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize(("kind", "activation"), [(BERT4Rec, F.gelu), (SASRec, F.relu)])
def test_transformers_are_plain_transformer_encoders(kind, activation, order):
    encoder, x = build(kind, norm=order), vectors()
    padding = torch.arange(LENGTH).expand(SLOTS, USERS, -1) >= torch.tensor([LENGTH, 4, 1])[:, None]
    future = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1) if kind.causal else None
    states = encoder(x, padding)
    for slot in range(SLOTS):
        y = x[slot]
        for block in encoder.blocks:
            plain = nn.TransformerEncoderLayer(
                DIM, 2, 4 * DIM, 0.0, activation, layer_norm_eps=1e-8, batch_first=True, norm_first=order == "pre"
            )
            plain.self_attn.in_proj_weight.data = block.attention.project.weight[slot].T
            plain.self_attn.in_proj_bias.data = block.attention.project.bias[slot, 0]
            plain.self_attn.out_proj = linear(block.attention.merge, slot)
            plain.linear1, plain.linear2 = linear(block.feed.widen, slot), linear(block.feed.narrow, slot)
            plain.norm1, plain.norm2 = norm(block.norm_attention, slot), norm(block.norm_feed, slot)
            y = plain(y, src_mask=future, src_key_padding_mask=padding[slot])
        real = ~padding[slot]
        torch.testing.assert_close(states[slot][real], y[real], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("training", "differentiated"), [(True, True), (False, True), (False, False)])
def test_a_gru_that_is_differentiated_is_run_as_in_training(training, differentiated, monkeypatch):
    """In evaluation too, where a gradient is asked for: cuDNN's recurrence has none otherwise."""
    found = []
    fused = torch.gru
    monkeypatch.setattr(torch, "gru", lambda *given: found.append(given[6]) or fused(*given))
    layer, x = GRU(SLOTS, DIM).train(training), torch.randn(SLOTS, USERS, LENGTH, DIM)
    initialise(layer, [torch.Generator().manual_seed(slot) for slot in range(SLOTS)])
    with torch.set_grad_enabled(differentiated):
        torch.testing.assert_close(layer._fused(x), layer(x))
    assert found == [training or differentiated] * SLOTS
