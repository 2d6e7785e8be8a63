"""Training one configuration on one seed: the loop, evaluation and checkpoints. No Ray and no MLflow in sight.

from hail_study.training import Trial

trial = Trial(configuration, prepared, seed=0)
while not trial.done:
    print(trial.step())          # one epoch and one validation
print(trial.test().metrics)      # the best epoch's weights, test targets, once
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hail_study.training.pack import Pack, Packs
    from hail_study.training.trial import Diverged, Trial

__all__ = ["Diverged", "Pack", "Packs", "Trial"]


def __getattr__(name: str) -> Any:
    """Import torch only when a trial is really wanted."""
    if name in __all__:
        from hail_study.training import pack

        return getattr(pack, name)
    raise AttributeError(name)
