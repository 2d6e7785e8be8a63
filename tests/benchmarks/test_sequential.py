"""`benchmarks/sequential.py` counts the studies it simulates."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sequential.py"


@pytest.fixture(scope="module")
def sequential():
    spec = importlib.util.spec_from_file_location("simulated_sequential", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("studies", [40, 100, 130])
def test_the_rule_alone_simulates_as_many_studies_as_it_divides_by(sequential, studies) -> None:
    assert sequential.rule_alone(sequential.Setting(effect=20.0), studies, block=50) == 1.0
