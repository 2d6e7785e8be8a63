import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hail_study.data import Prepared, frequency, planted_oracle, popularity, prepare, split
from hail_study.data.planted import planted
from hail_study.data.process import Process
from hail_study.study import PlantedData

SETTINGS = st.builds(
    PlantedData,
    users=st.integers(10, 40),
    items=st.integers(20, 60),
    length=st.integers(5, 25),
    types=st.integers(1, 5),
    zipf=st.floats(0, 2),
    branching=st.integers(1, 8),
    preference=st.floats(0, 3),
    twins=st.floats(0, 1),
    loyalty=st.floats(0, 1),
    cue=st.sampled_from([0.0, 0.2, 0.5]),
    lag=st.integers(1, 12),
    noise=st.floats(0, 0.2),
    seed=st.integers(0, 99),
)


def ndcg(ranks: np.ndarray) -> float:
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())


def ceiling(config: PlantedData) -> float:
    prepared = prepare(config)
    return ndcg(planted_oracle(config, prepared, split(prepared).test_positions))


def concepts(config: PlantedData, prepared: Prepared) -> np.ndarray:
    """[N], the concept of each interaction, from the item's name."""
    numbers = np.array([int(name[1:].rstrip("ab")) for name in prepared.item_names])
    return numbers[prepared.items - 1]


@settings(max_examples=30)
@given(SETTINGS)
def test_what_a_cue_decided_is_the_answer_to_the_item_at_its_lag(config: PlantedData) -> None:
    prepared, world = prepare(config), Process.of(config)
    met = concepts(config, prepared)
    assert prepared.lags is not None
    decided = np.flatnonzero(prepared.lags)
    evidence = decided - prepared.lags[decided]
    assert (prepared.users_of(evidence) == prepared.users_of(decided)).all()
    assert (world.lags[met[evidence]] == prepared.lags[decided]).all()
    assert (world.answers[met[evidence]] == met[decided]).all()
    assert prepared.lags.max() <= config.lag


@settings(max_examples=30)
@given(SETTINGS)
def test_every_user_can_be_evaluated_and_times_are_strictly_ordered(config: PlantedData) -> None:
    prepared = prepare(config)
    assert prepared.users == config.users
    assert prepared.lengths.min() >= 5
    assert prepared.times is not None
    steps = np.diff(prepared.times)[np.diff(prepared.users_of(np.arange(len(prepared.items)))) == 0]
    assert (steps > 0).all()


@settings(max_examples=20)
@given(SETTINGS)
def test_the_oracle_ranks_within_the_catalogue(config: PlantedData) -> None:
    prepared = prepare(config)
    ranks = planted_oracle(config, prepared, split(prepared).test_positions)
    assert ranks.shape == (config.users,)
    assert ranks.min() >= 1
    assert ranks.max() <= prepared.item_count


def test_the_seed_decides_everything() -> None:
    first, second, other = (prepare(PlantedData(users=50, seed=seed)) for seed in (7, 7, 8))
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert first.times is not None
    assert second.times is not None
    assert first.times.tolist() == second.times.tolist()


def test_more_users_live_in_the_same_world() -> None:
    few, many = (Process.of(PlantedData(users=users, length=length)) for users, length in ((10, 5), (500, 30)))
    assert few.successors.tolist() == many.successors.tolist()
    assert few.answers.tolist() == many.answers.tolist()


def test_popularity_alone_is_zipf() -> None:
    config = PlantedData(users=5000, items=100, zipf=0.8, noise=1.0, cue=0.0, twins=0.0)
    prepared = prepare(config)
    counts = np.sort(np.bincount(prepared.items)[1:])[::-1]
    slope = np.polyfit(np.log(np.arange(1, 61)), np.log(counts[:60]), 1)[0]
    assert slope == pytest.approx(-0.8, abs=0.03)


def test_transitions_keep_popularity_near_zipf() -> None:
    prepared, world = prepare(PlantedData(users=5000)), Process.of(PlantedData(users=5000))
    shares = np.bincount(concepts(PlantedData(users=5000), prepared), minlength=world.concepts) / len(prepared.items)
    assert np.corrcoef(np.log(shares), np.log(world.popularity))[0, 1] > 0.6


@pytest.mark.parametrize(("cue", "noise", "lag"), [(0.0, 0.1, 8), (0.2, 0.3, 4), (0.3, 0.1, 8), (0.5, 0.1, 2)])
def test_cues_decide_about_their_share_of_the_targets(cue: float, noise: float, lag: int) -> None:
    shares = []
    for seed in range(5):
        prepared = prepare(PlantedData(cue=cue, noise=noise, lag=lag, seed=seed))
        assert prepared.lags is not None
        shares.append((prepared.lags[split(prepared).test_positions] > 0).mean())
    assert np.mean(shares) == pytest.approx(cue, abs=0.05)


def test_every_lag_occurs_about_as_often() -> None:
    prepared = prepare(PlantedData(users=5000, items=2000, zipf=0.0, lag=6, length=40))
    assert prepared.lags is not None
    counts = np.bincount(prepared.lags)[1:]
    assert counts[0] == 0
    assert counts[1:].min() > 0.5 * counts[1:].max()


def test_twins_share_what_leads_to_them_and_users_prefer_a_side() -> None:
    config = PlantedData(users=3000, twins=1.0, loyalty=0.9)
    prepared = prepare(config)
    assert sorted({name[-1] for name in prepared.item_names}) == ["a", "b"]
    right = np.char.endswith(prepared.item_names, "b")[prepared.items - 1]
    share = np.add.reduceat(right.astype(float), prepared.offsets[:-1]) / prepared.lengths
    assert np.maximum(share, 1 - share).mean() == pytest.approx(0.9, abs=0.02)
    assert right.mean() == pytest.approx(0.5, abs=0.05)


def test_the_names_of_items_without_a_twin_have_no_side() -> None:
    names = Process.of(PlantedData(items=100, twins=0.3)).item_names
    assert len(set(names)) == len(names) == 100
    assert sum(name[-1] in "ab" for name in names) == 30


def test_lags_stay_true_when_the_core_drops_interactions() -> None:
    config = PlantedData(users=150, items=300, zipf=1.0, k_core=6)
    prepared, world = prepare(config), Process.of(config)
    met = concepts(config, prepared)
    assert prepared.lags is not None
    decided = np.flatnonzero(prepared.lags)
    evidence = decided - prepared.lags[decided]
    assert len(prepared.items) < len(planted(config))
    assert (world.answers[met[evidence]] == met[decided]).all()
    assert (prepared.lags[decided] < world.lags[met[evidence]]).any()  # counted in what is left
    assert (prepared.lags[decided] <= world.lags[met[evidence]]).all()


class TestDifficulty:
    """A ceiling well above the floor, and knobs that turn in the direction they say."""

    def test_the_ceiling_is_far_above_the_baselines(self) -> None:
        config = PlantedData()
        prepared = prepare(config)
        parts = split(prepared)
        floor = max(ndcg(rank(prepared, parts, parts.test_positions)) for rank in (popularity, frequency))
        assert floor < 0.15
        assert ceiling(config) > 0.7

    def test_repeating_the_history_solves_little(self) -> None:
        prepared = prepare(PlantedData())
        ranks = frequency(prepared, split(prepared), split(prepared).test_positions)
        assert (ranks <= 10).mean() < 0.2

    def test_a_table_of_transitions_learns_part_of_it(self) -> None:
        prepared = prepare(PlantedData())
        parts = split(prepared)
        size = prepared.item_count + 1
        inside = np.arange(len(prepared.items)) < np.repeat(parts.train_end, prepared.lengths)
        first = np.flatnonzero(inside[:-1] & inside[1:] & (np.diff(prepared.users_of(np.arange(len(inside)))) == 0))
        table = np.bincount(prepared.items[first].astype(int) * size + prepared.items[first + 1], minlength=size * size)
        scores = table.reshape(size, size)[prepared.items[parts.test_positions - 1]]
        wanted = scores[np.arange(len(scores)), prepared.items[parts.test_positions]][:, None]
        ranks = (scores >= wanted).sum(1)
        assert 0.2 < ndcg(ranks) < ceiling(PlantedData()) - 0.2

    @pytest.mark.parametrize(
        ("easier", "harder"),
        [
            ({"noise": 0.0}, {"noise": 0.3}),
            ({"branching": 2}, {"branching": 20}),
            ({"preference": 3.0}, {"preference": 0.0}),
            ({"twins": 0.0}, {"twins": 1.0, "loyalty": 0.5}),
            ({"twins": 1.0, "loyalty": 1.0}, {"twins": 1.0, "loyalty": 0.5}),
            ({"cue": 0.5}, {"cue": 0.0}),
        ],
    )
    def test_harder_settings_lower_the_ceiling(self, easier: dict[str, float], harder: dict[str, float]) -> None:
        assert ceiling(PlantedData(**harder)) < ceiling(PlantedData(**easier)) - 0.03

    def test_a_process_without_chance_is_predicted_without_fault(self) -> None:
        config = PlantedData(noise=0.0, branching=1, twins=0.0)
        prepared = prepare(config)
        assert (planted_oracle(config, prepared, split(prepared).test_positions) == 1).all()


def next_item(config: PlantedData, world: Process, history: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Probability of each (concept, side) after a history of them: the definition, one user and one step at a time."""
    due: dict[int, int] = {}
    types = np.ones(config.types)
    for step, (concept, _) in enumerate(history):
        if step and step not in due:
            before = history[step - 1][0]
            follow = [world.preference[world.successors[z, before] == concept].sum() for z in range(config.types)]
            types *= config.noise * world.popularity[concept] + (1 - config.noise) * np.array(follow)
        if world.lags[concept]:
            due[step + int(world.lags[concept])] = int(world.answers[concept])
    chosen = np.zeros(world.concepts)
    for z, weight in enumerate(types / types.sum()):
        np.add.at(chosen, world.successors[z, history[-1][0]], weight * world.preference)
    if len(history) in due:
        chosen = np.eye(world.concepts)[due[len(history)]]
    chosen = config.noise * world.popularity + (1 - config.noise) * chosen
    met = [side for concept, side in history if world.twinned[concept]]
    like = [np.prod([config.loyalty if side == own else 1 - config.loyalty for side in met]) for own in (0, 1)]
    right = (like[1] * config.loyalty + like[0] * (1 - config.loyalty)) / sum(like)
    sides = np.where(world.twinned[:, None], [1 - right, right], [1.0, 0.0])
    return {(c, side): chosen[c] * sides[c, side] for c in range(world.concepts) for side in (0, 1)}


@pytest.mark.parametrize("changes", [{}, {"twins": 0.9, "loyalty": 0.7}, {"cue": 0.5, "lag": 3}, {"types": 1}])
def test_the_oracle_is_bayes_rule(changes: dict[str, float]) -> None:
    config = PlantedData(users=60, items=40, length=10, **changes)
    prepared, world = prepare(config), Process.of(config)
    positions = split(prepared).test_positions
    items = [(int(name[1:].rstrip("ab")), int(name.endswith("b"))) for name in prepared.item_names.tolist()]
    ranks = planted_oracle(config, prepared, positions)
    for position, rank in zip(positions, ranks, strict=True):
        start = prepared.offsets[prepared.offsets <= position].max()
        probability = next_item(config, world, [items[item - 1] for item in prepared.items[start:position]])
        wanted = probability[items[prepared.items[position] - 1]]
        above = sum(probability[item] > wanted + 1e-12 for item in items)
        equal = sum(abs(probability[item] - wanted) <= 1e-12 for item in items) - 1
        assert rank == 1 + above + (equal + 1) // 2


def test_of_an_odd_number_of_items_one_has_no_twin_at_the_most() -> None:
    siblings = Process.of(PlantedData(items=27, twins=1.0)).siblings
    assert sorted(np.unique(siblings)) == list(range(27))
    assert (siblings[:, 0] == siblings[:, 1]).sum() == 1
