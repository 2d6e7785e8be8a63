"""A task outside the package, and versions of it that do not conform."""

import numpy as np
import torch
from torch import nn

from hail_study.data import Examples
from hail_study.objectives import Loss
from hail_study.study import Plugin, PluginTask
from hail_study.tasks import Diverged, Task
from hail_study.tasks.outcomes import Measured

plugin = Plugin(
    sources={"noise": "regress:noise"},
    tasks={"regress": PluginTask("regress:Regress", errors=("mse",), factors=("peers.count",))},
    tasks_of={"noise": "regress"},
)


def noise(settings):
    generator = np.random.default_rng(settings.seed)

    def draw(count):
        x = generator.standard_normal((count, 4), dtype=np.float32)
        return {"x": x, "y": x.sum(1)}

    return Examples(draw(200), draw(40), draw(40), {"source": "noise"}, {})


class Linear(nn.Module):
    """K linear functions without anything random but their first weights."""

    def __init__(self, peers, seed):
        super().__init__()
        source = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(4, peers, generator=source))

    def forward(self, x):
        return x @ self.weight  # [n, K]

    def random_state(self):
        return torch.zeros(0, dtype=torch.uint8)

    def set_random_state(self, state):
        pass


class Regress(Task):
    """y from x, by linear functions."""

    def __init__(self, configuration, prepared, seed, device):
        super().__init__(configuration, seed, device)
        self.data = prepared
        self.network = Linear(configuration.peers.count, seed).to(device)

    @property
    def examples(self):
        return len(self.data.train["y"]), len(self.data.validation["y"])

    def batches(self):
        order, size = self.order.permutation(self.examples[0]), self.configuration.training.batch
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield self.tensor("train", "x", rows), self.tensor("train", "y", rows)

    def loss(self, batch, step):
        x, y = batch
        with self.precision():
            errors = (self.network(x) - y[:, None]).square().mean(0)  # [K]
        return Loss(errors.sum(), {"error": errors.detach()})

    def evaluate(self, part, best_peer=None):
        was_training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            answers = self.network(self.tensor(part, "x"))
        self.network.train(was_training)
        if not answers.isfinite().all():
            raise Diverged("answers are not finite")
        y = self.tensor(part, "y")
        each = [{"mse": (one - y).square().numpy()} for one in answers.T]
        return Measured({"mse": (answers.mean(1) - y).square().numpy()}, tuple(each) if len(each) > 1 else ())

    def tensor(self, part, name, rows=slice(None)):
        return torch.from_numpy(self.data.part(part)[name][rows]).to(self.device)


class Counting(Regress):
    """Remembers what no checkpoint keeps."""

    seen = 0

    def loss(self, batch, step):
        self.seen += 1
        found = super().loss(batch, step)
        return Loss(found.total * (1 + self.seen), found.parts)


class Drawing(Regress):
    """Draws while it judges."""

    def evaluate(self, part, best_peer=None):
        self.order.random()
        return super().evaluate(part, best_peer)


class Dozing(Regress):
    """Forgets to go back to training."""

    def evaluate(self, part, best_peer=None):
        found = super().evaluate(part, best_peer)
        self.network.eval()
        return found


class Peeking(Regress):
    """Learns from test examples too."""

    def batches(self):
        yield from super().batches()
        yield self.tensor("test", "x"), self.tensor("test", "y")


class Idle(Regress):
    """Learns nothing."""

    def loss(self, batch, step):
        return Loss(0 * self.network.weight.sum() + 1, {})


class Careless(Regress):
    """Draws from the process."""

    def loss(self, batch, step):
        found = super().loss(batch, step)
        return Loss(found.total * torch.rand(()), found.parts)


class Lonely(Regress):
    """Calls one network a peer."""

    def evaluate(self, part, best_peer=None):
        found = super().evaluate(part, best_peer)
        return Measured(found.columns, found.peers or (found.columns,))


class Silent(Regress):
    """Does not say how each peer does."""

    def evaluate(self, part, best_peer=None):
        return Measured(super().evaluate(part, best_peer).columns)


class Twins(Regress):
    """One network twice."""

    def __init__(self, configuration, prepared, seed, device):
        super().__init__(configuration, prepared, seed, device)
        with torch.no_grad():
            self.network.weight[:] = self.network.weight[:, :1]


class Rowless(Measured):
    """Keeps a file with nothing in it."""

    def files(self):
        return {"outcomes.parquet": b""}


class Forgetful(Regress):
    """Keeps nothing of the single examples."""

    def evaluate(self, part, best_peer=None):
        found = super().evaluate(part, best_peer)
        return Rowless(found.columns, found.peers)


class Sparse(Regress):
    """Keeps something of half of the examples."""

    def evaluate(self, part, best_peer=None):
        found = super().evaluate(part, best_peer)
        return Measured({name: column[::2] for name, column in found.columns.items()}, found.peers)


class Secretive(Regress):
    """Measures what no study may name."""

    def evaluate(self, part, best_peer=None):
        found = super().evaluate(part, best_peer)
        return Measured(found.columns, found.peers, {"charm": 1.0})


class Unworried(Regress):
    """Judges answers that are no numbers."""

    def evaluate(self, part, best_peer=None):
        answers = self.network(self.tensor(part, "x")).detach()
        y = self.tensor(part, "y")
        each = [{"mse": (one - y).square().numpy()} for one in answers.T]
        return Measured({"mse": (answers.mean(1) - y).square().numpy()}, tuple(each) if len(each) > 1 else ())


class Imprecise(Regress):
    """Takes no notice of `training.precision`."""

    def precision(self):
        return torch.autocast("cpu", enabled=False)
