"""Segment selection: examples of m segments, of which one, the foreground, has the class.

Vashisht, Ramaswamy. On the Learning Dynamics of Attention Networks. ECAI 2023, arXiv 2307.13421: their semi-synthetic
task makes a mosaic of m images, one of them of a foreground class. Nothing but the class is given in training; where
the foreground lies is kept as the truth that the focus is judged by.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hail_study.data.errors import DataError
from hail_study.data.examples import Examples

if TYPE_CHECKING:
    from hail_study.study.configuration import DigitsData, MosaicData

Floats = npt.NDArray[np.float32]


def mosaic(config: "MosaicData") -> Examples:
    """Segments are orthonormal directions, one per class and kind of background, with noise in all directions.

    Arrays: `segments` float32 [n, m, features], `classes` int64 [n], `places` int64 [n].
    """
    kinds = np.eye(config.features, dtype=np.float32)[: config.classes + config.backgrounds]
    if not config.backgrounds:
        kinds = np.concatenate([kinds, np.zeros((1, config.features), np.float32)])

    def draw(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
        codes, classes, places = _layout(count, config.segments, config.classes, len(kinds), generator)
        noise = generator.standard_normal((*codes.shape, config.features), dtype=np.float32)
        segments = kinds[codes] + noise * np.float32(config.noise / np.sqrt(config.features))
        return {"segments": segments, "classes": classes, "places": places}

    return _examples(config, draw)


def digits(config: "DigitsData") -> Examples:
    """Segments are scikit-learn's 8 x 8 images of digits; each part of the examples is made of images of its own.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("data.source: digits needs scikit-learn: pip install 'hail-study[digits]'") from None
    images, labels = load_digits(return_X_y=True)
    shares = np.array_split(np.random.default_rng(config.seed).permutation(len(labels)), [900, 1200])

    def draw(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
        own = shares[len(drawn)]
        drawn.append(count)
        codes, classes, places = _layout(count, config.segments, config.classes, 10, generator)
        by_digit = [own[labels[own] == digit] for digit in range(10)]
        picked = np.empty(codes.shape, dtype=np.int64)
        for digit, pool in enumerate(by_digit):
            here = codes == digit
            picked[here] = generator.choice(pool, here.sum())
        return {"segments": (images[picked] / 16).astype(np.float32), "classes": classes, "places": places}

    drawn: list[int] = []
    return _examples(config, draw)


def _layout(
    count: int, segments: int, classes: int, kinds: int, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Kind of every segment [n, m], class [n] and place of the foreground [n]."""
    codes = generator.integers(classes, kinds, (count, segments))
    right, places = generator.integers(classes, size=count), generator.integers(segments, size=count)
    codes[np.arange(count), places] = right
    return codes, right, places


def _examples(config: "MosaicData | DigitsData", draw: object) -> Examples:
    generator = np.random.default_rng([config.seed, 1])
    train, validation, test = (draw(count, generator) for count in (config.train, config.valid, config.test))  # type: ignore[operator]
    description = config.model_dump(mode="json")
    return Examples(train, validation, test, description, {"classes": np.array(config.classes)})
