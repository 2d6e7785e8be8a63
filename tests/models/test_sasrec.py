"""What a causal encoder may see."""

import torch

from hail_study.models import PeerNetwork
from hail_study.study.configuration import Configuration, Encoder, Peers, PlantedData

SETTINGS = Configuration(encoder=Encoder(dim=8, heads=2), peers=Peers(count=2), data=PlantedData(max_length=8))


def test_no_state_sees_the_future():
    network = PeerNetwork(SETTINGS, 20, [0]).eval()
    ids = torch.randint(1, 21, (1, 4, 8))
    later = ids.clone()
    later[:, :, 5:] = torch.randint(1, 21, (1, 4, 3))
    assert torch.equal(network(ids)[:, :, :5], network(later)[:, :, :5])


def test_padding_on_the_right_changes_nothing():
    network = PeerNetwork(SETTINGS, 20, [0]).eval()
    ids = torch.randint(1, 21, (1, 4, 5))
    padded = torch.nn.functional.pad(ids, (0, 3))
    torch.testing.assert_close(network(padded)[:, :, :5], network(ids))


def test_one_slots_nan_stays_its_own():
    network = PeerNetwork(SETTINGS, 20, [0]).eval()
    ids = torch.randint(1, 21, (1, 4, 8))
    expected = network(ids)
    network.stack.families["sasrec"].encoder.blocks[0].attention.project.weight.data[1] = torch.nan
    found = network(ids)
    assert torch.equal(found[0], expected[0])
    assert found[1].isnan().all()
