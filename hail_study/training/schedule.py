"""The learning rate of a step, as a pure function."""


def learning_rate_factor(step: int, total: int, warmup: int, decay: str) -> float:
    """Factor on the peak learning rate at a step counted from 0.

    Linear warm-up over `warmup` steps, then constant (`decay="none"`) or linear to 0 at `total` (`"linear"`, as HAIL's
    released code does).
    """
    if step < warmup:
        return (step + 1) / warmup
    if decay == "none":
        return 1.0
    return max(0.0, (total - step) / max(1, total - warmup))
