import torch

from hail_study.objectives.contrastive.views import Histories, Shares, crop, hide, histories, joined, reorder, view

LENGTHS = torch.tensor([[10, 7, 1, 4]])
IDS = torch.stack([torch.arange(1, 11) + 100 * row for row in range(4)])[None]
GIVEN = Histories(IDS * (torch.arange(10) < LENGTHS[..., None]), LENGTHS)


def source(seed=0):
    return [torch.Generator().manual_seed(seed)]


def rows(found):
    return [ids[:length].tolist() for ids, length in zip(found.ids[0], found.lengths[0], strict=True)]


def test_a_history_ends_before_the_last_item_of_a_row():
    found = histories(torch.tensor([[[5, 6, 7, 0], [8, 9, 0, 0], [3, 0, 0, 0]]]))
    assert rows(found) == [[5, 6], [8], [3]]
    assert found.ids.shape == (1, 3, 3)


def test_cropping_keeps_a_stretch_and_reaches_every_start():
    starts = set()
    for seed in range(60):
        found = crop(GIVEN, 0.5, source(seed))
        assert found.lengths.tolist() == [[5, 3, 1, 2]]
        for own, cropped in zip(rows(GIVEN), rows(found), strict=True):
            start = own.index(cropped[0])
            assert cropped == own[start : start + len(cropped)]
        assert (found.ids[0, 0, 5:] == 0).all()
        starts.add(rows(found)[0][0])
    assert starts == set(range(1, 7))


def test_hiding_replaces_a_share_of_the_real_items_and_nothing_else():
    found = hide(GIVEN, 0.5, source(), 999)
    for own, changed in zip(rows(GIVEN), rows(found), strict=True):
        assert sum(item == 999 for item in changed) == len(own) // 2
        assert all(new in (old, 999) for old, new in zip(own, changed, strict=True))
    assert (found.ids[GIVEN.ids == 0] == 0).all()
    assert torch.equal(found.lengths, GIVEN.lengths)


def test_reordering_shuffles_one_stretch():
    moved = 0
    for seed in range(20):
        found = reorder(GIVEN, 0.5, source(seed))
        assert (found.ids[GIVEN.ids == 0] == 0).all()
        for own, changed in zip(rows(GIVEN), rows(found), strict=True):
            assert sorted(own) == sorted(changed)
            places = [at for at, (old, new) in enumerate(zip(own, changed, strict=True)) if old != new]
            assert not places or places[-1] - places[0] < len(own) // 2
            moved += bool(places)
    assert moved > 20


def test_a_view_is_one_of_the_three_and_comes_from_the_generator():
    shares = Shares(0.5, 0.5, 0.8)
    first, again, other = (view(GIVEN, shares, source(seed), 0) for seed in (1, 1, 2))
    assert torch.equal(first.ids, again.ids)
    assert not torch.equal(first.ids, other.ids)
    kinds = set()
    for seed in range(20):
        found = view(GIVEN, shares, source(seed), 999)
        own, changed = rows(GIVEN)[0], rows(found)[0]
        kinds.add("mask" if 999 in changed else "crop" if len(changed) == 5 else "reorder")
        assert 999 in changed or set(changed) <= set(own)
    assert kinds == {"mask", "crop", "reorder"}


def test_each_trial_has_its_own_random_numbers():
    twice = Histories(GIVEN.ids.expand(2, -1, -1), GIVEN.lengths.expand(2, -1))
    shares = Shares(0.5, 0.5, 0.8)
    together = view(twice, shares, [*source(1), *source(2)], 0)
    for trial, seed in enumerate((1, 2)):
        assert torch.equal(together.ids[trial], view(GIVEN, shares, source(seed), 0).ids[0])


def test_two_views_are_joined_row_below_row():
    short = Histories(torch.tensor([[[1, 2, 0]]]), torch.tensor([[2]]))
    long = Histories(torch.tensor([[[3, 0, 0, 0, 0]]]), torch.tensor([[1]]))
    both = joined((short, long))
    assert both.ids.tolist() == [[[1, 2], [3, 0]]]
    assert both.lengths.tolist() == [[2, 1]]
