"""A trained arm outside its study: exported, loaded, asked for predictions, registered with MLflow."""

from hail_study.serving.predictor import Predictor

__all__ = ["Predictor"]
