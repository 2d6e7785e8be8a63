"""When an arm is behind the reference beyond doubt: the Wilcoxon signed-rank test over paired seeds.

Wilcoxon (Biometrics Bulletin 1945); as a rule for stopping, Optuna's `WilcoxonPruner`. It is judged on validation data
alone, again and again and without a correction: it saves seeds where the answer does not matter, and is no evidence.
"""

from collections.abc import Sequence


def behind(differences: Sequence[float], level: float) -> bool:
    """Whether paired differences are below 0 by a one-sided test.

    Args:
        differences: Arm minus reference, one a seed; larger is better. Zeros are left out, as Wilcoxon did.
        level: Of the test, exact for as few pairs as a study has.

    Examples:
        >>> behind([-1.0, -2.0, -3.0, -4.0, -5.0], 0.05), behind([-1.0, -2.0, -3.0, 4.0, -5.0], 0.05)
        (True, False)
    """
    from scipy.stats import wilcoxon

    values = [value for value in differences if value]
    return bool(values) and bool(wilcoxon(values, alternative="less").pvalue <= level)


def seeds_given(differences: Sequence[float | None], looks: Sequence[int], level: float) -> int:
    """Seeds that an arm gets: those of the first look at which it is behind, or all.

    Args:
        differences: By seed, in the order of the seeds; None where a trial of the pair failed.
        looks: Ascending.
        level: See `behind`.
    """
    for look in looks[:-1]:
        if behind([one for one in differences[:look] if one is not None], level):
            return look
    return looks[-1]
