"""Running a study: what to train next, on which machine, and what happens when something breaks.

`execute` is the whole of it; `Agenda` is its pure heart and runs without Ray.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hail_study.execution.agenda import Agenda, Outcome
    from hail_study.execution.driver import execute

__all__ = ["Agenda", "Outcome", "execute"]


def __getattr__(name: str) -> Any:
    """Import Ray and Optuna only when something is really run."""
    if name == "execute":
        from hail_study.execution.driver import execute

        return execute
    if name in __all__:
        from hail_study.execution import agenda

        return getattr(agenda, name)
    raise AttributeError(name)
