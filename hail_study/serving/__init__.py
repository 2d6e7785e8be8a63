"""A trained arm outside its study: exported, loaded, asked for predictions, registered with MLflow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hail_study.serving.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """Import torch only when something is really predicted."""
    if name in __all__:
        from hail_study.serving import predictor

        return getattr(predictor, name)
    raise AttributeError(name)
