"""The examples in the docstrings are true."""

import doctest

from hail_study.models import layers


def test_examples():
    assert doctest.testmod(layers, extraglobs={"torch": __import__("torch")}).failed == 0
