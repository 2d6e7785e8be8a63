import math

import pytest
import torch

from hail_study.models.layers import initialise
from hail_study.objectives.contrastive.augmenters import Augmenter
from hail_study.objectives.contrastive.losses import info_nce, separation


def views(slots=2, batch=5, dim=6, seed=0):
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(slots, batch, dim, generator=source, dtype=torch.float64) for _ in range(2)]


def partners_and_others(first, second, temperature):
    """(positive score, negative scores) of each of the 2 B vectors, in plain Python."""
    vectors = [*first.tolist(), *second.tolist()]
    half = len(first)
    for index, vector in enumerate(vectors):
        scores = [sum(a * b for a, b in zip(vector, other, strict=True)) / temperature for other in vectors]
        partner = (index + half) % (2 * half)
        yield scores[partner], [score for place, score in enumerate(scores) if place not in (index, partner)]


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_info_nce_is_the_mean_over_both_directions(temperature):
    first, second = views()
    found = info_nce(first, second, temperature)
    for slot in range(2):
        terms = [
            -positive + math.log(math.exp(positive) + sum(map(math.exp, negatives)))
            for positive, negatives in partners_and_others(first[slot], second[slot], temperature)
        ]
        assert found[slot].item() == pytest.approx(sum(terms) / len(terms), rel=1e-10)
    torch.testing.assert_close(info_nce(second, first, temperature), found)


def test_info_nce_of_equal_scores_is_the_logarithm_of_their_number():
    assert info_nce(torch.zeros(1, 8, 3), torch.zeros(1, 8, 3)).item() == pytest.approx(math.log(15))


@pytest.mark.parametrize("seed", range(4))
def test_separation_follows_its_definition(seed):
    first, second = views(seed=seed)
    if seed % 2:
        second = first + 0.01 * second  # positives above all others: the other branch of o_min and o_max
    found = separation(first, second, 0.7)
    for slot in range(2):
        pairs = list(partners_and_others(first[slot], second[slot], 0.7))
        positive = [one for one, _ in pairs]
        negative = [one for _, others in pairs for one in others]
        low, high = sorted((min(positive), max(negative)))
        expected = sum(max(0, s - low) for s in positive) / len(positive)
        expected += sum(max(0, high - s) for s in negative) / len(negative)
        assert found[slot].item() == pytest.approx(expected, rel=1e-10)


def test_a_single_history_has_nothing_to_be_told_from():
    first, second = views(batch=1)
    assert info_nce(first, second).tolist() == pytest.approx([0, 0])
    assert separation(first, second).tolist() == [0, 0]


def test_gradients_are_right():
    first, second = (one.requires_grad_() for one in views(slots=1, batch=3, dim=2))
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.5), (first, second))
    assert torch.autograd.gradcheck(lambda a, b: separation(a, b, 0.5), (first, second))
    assert torch.autograd.gradgradcheck(lambda a, b: info_nce(a, b, 0.5), (first, second))


def test_augmented_states_have_unit_length_and_the_released_widths():
    augmenter = Augmenter(3, 64)
    layers = (augmenter.first, augmenter.second, augmenter.third)
    assert [tuple(one.weight.shape[1:]) for one in layers] == [(64, 32), (32, 16), (16, 64)]
    initialise(augmenter, [torch.Generator().manual_seed(slot) for slot in range(3)])
    torch.testing.assert_close(augmenter(torch.randn(3, 4, 64)).norm(dim=-1), torch.ones(3, 4))
