"""Ablation and hyperparameter studies of peer networks for sequential prediction."""

__version__ = "0.1.0"
