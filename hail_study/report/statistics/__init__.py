"""Statistics of small paired samples: pure functions on numpy arrays, nothing of studies or files.

Every function takes one value per seed (or one paired difference per seed) and says in its docstring what it assumes.
"""

from hail_study.report.statistics.datasets import Friedman, friedman
from hail_study.report.statistics.effects import hedges_g, probability_of_improvement
from hail_study.report.statistics.equivalence import tost_p
from hail_study.report.statistics.factorial import Contrast, contrasts
from hail_study.report.statistics.intervals import Interval, bootstrap_interval, mean_interval
from hail_study.report.statistics.multiplicity import benjamini_hochberg, holm
from hail_study.report.statistics.permutation import seeds_needed, sign_flip_p, smallest_p
from hail_study.report.statistics.robust import iqm, performance_profile, stratified_interval
from hail_study.report.statistics.users import users_and_seeds_interval
from hail_study.report.statistics.verdict import Verdict, verdict

__all__ = [
    "Contrast",
    "Friedman",
    "Interval",
    "Verdict",
    "benjamini_hochberg",
    "bootstrap_interval",
    "contrasts",
    "friedman",
    "hedges_g",
    "holm",
    "iqm",
    "mean_interval",
    "performance_profile",
    "probability_of_improvement",
    "seeds_needed",
    "sign_flip_p",
    "smallest_p",
    "stratified_interval",
    "tost_p",
    "users_and_seeds_interval",
    "verdict",
]
