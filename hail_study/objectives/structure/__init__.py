"""Learning to predict sets, with an energy E(x, y) that knows labels together, or without.

Shankar, Piratla. Implicit Training of Energy Model for Structure Prediction. UAI 2023, arXiv 2211.11649, and what it is
compared with. Every method is a subclass of `Method`; `solvers` holds products with an inverse Hessian.
"""

from hail_study.objectives.structure.base import Gradients, Method, Reading, Scored, cross_entropy, directed

__all__ = ["Gradients", "Method", "Reading", "Scored", "cross_entropy", "directed"]
