"""Sequence memory: what came long ago decides what is asked now.

Wang, Yan. Improve Long-term Memory Learning Through Rescaling the Error Temporally. arXiv 2307.11462, and their code.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hail_study.data.errors import DataError
from hail_study.data.examples import Examples

if TYPE_CHECKING:
    from hail_study.study.configuration import CopyingData, FunctionalData

Floats = npt.NDArray[np.float64]


def functional(config: "FunctionalData") -> Examples:
    """y_t = sum over s <= t of rho(s) x_(t - s), x white noise; rho is scaled to a sum of squares of 1.

    Arrays: `inputs` float32 [n, T, 1], `targets` float32 [n, T]; truth: `memory` float64 [T], rho.

    Raises:
        DataError: The lag is not within the sequence.
    """
    if config.functional in ("shifted", "two-part", "airy") and config.lag >= config.length:
        raise DataError(f"data.lag ({config.lag}) must be below data.length ({config.length})")
    memory = memory_of(config)
    index = np.subtract.outer(np.arange(config.length), np.arange(config.length))  # t - s
    matrix = np.where(index >= 0, memory[np.abs(index)], 0.0)  # [T, T]

    def draw(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
        noise = generator.standard_normal((count, config.length))
        return {"inputs": noise[..., None].astype(np.float32), "targets": (noise @ matrix.T).astype(np.float32)}

    return _examples(config, draw, {"memory": memory})


def memory_of(config: "FunctionalData") -> Floats:
    """rho(0), ..., rho(T - 1).

    Exponential e^-s; polynomial (1 + s / 10)^-1.1; shifted, 1 at `lag` and 0 elsewhere; two-part, exponential plus a
    Gaussian of width 2 at `lag`; Airy, Ai((s - lag) / 4), which oscillates before the lag and dies after it.
    """
    s = np.arange(config.length, dtype=np.float64)
    if config.functional == "airy":
        from scipy.special import airy

        rho = airy((s - config.lag) / 4)[0]
    else:
        rho = {
            "exponential": np.exp(-s),
            "polynomial": (1 + s / 10) ** -1.1,
            "shifted": (s == config.lag).astype(np.float64),
            "two-part": np.exp(-s) + np.exp(-((s - config.lag) ** 2) / 8),
        }[config.functional]
    return np.asarray(rho / np.sqrt((rho**2).sum()))


def copying(config: "CopyingData") -> Examples:
    """Symbols, a gap of blanks, a signal, and then the symbols again as targets; before that the target is blank.

    Arrays: `inputs` float32 [n, T, alphabet + 2] one-hot (0 is blank, the last is the signal), `targets` int64 [n, T];
    T = 2 symbols + gap. Truth: `asked` bool [T], the steps at which symbols are asked for.
    """
    length, kinds = 2 * config.symbols + config.gap, config.alphabet + 2
    start = config.symbols + config.gap
    asked = np.arange(length) >= start

    def draw(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
        symbols = generator.integers(1, config.alphabet + 1, (count, config.symbols))
        shown, targets = np.zeros((2, count, length), dtype=np.int64)
        shown[:, : config.symbols], shown[:, start - 1] = symbols, kinds - 1
        targets[:, start:] = symbols
        return {"inputs": np.eye(kinds, dtype=np.float32)[shown], "targets": targets}

    return _examples(config, draw, {"asked": asked})


def _examples(config: "FunctionalData | CopyingData", draw: Any, truth: dict[str, npt.NDArray[Any]]) -> Examples:
    generator = np.random.default_rng([config.seed, 2])
    train, validation, test = (draw(count, generator) for count in (config.train, config.valid, config.test))
    return Examples(train, validation, test, config.model_dump(mode="json"), truth)
