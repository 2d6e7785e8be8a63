"""Peer networks: sequence encoders with a leading slot axis, what their peers share, how they answer together."""

from hail_study.models.batches import TrainingBatch
from hail_study.models.dropout import Streams
from hail_study.models.encoder import Encoder
from hail_study.models.inference import combine
from hail_study.models.peers import PeerNetwork

__all__ = ["Encoder", "PeerNetwork", "Streams", "TrainingBatch", "combine"]
