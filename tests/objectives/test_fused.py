"""Triton's kernels against double precision, in Triton's interpreter; and when they are not used."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hail_study.objectives.chunked import Problem, chunked_loss
from hail_study.objectives.couplings.base import Chunk
from hail_study.objectives.couplings.independent import Independent
from hail_study.objectives.couplings.med import Med
from hail_study.objectives.couplings.mutual import Mutual
from hail_study.objectives.fused import choice, fused_loss, obstacle
from hail_study.objectives.fused.choice import Case, failure
from hail_study.study.configuration import Peers as Settings

KINDS = {"independent": Independent, "med": Med}
CASES = [
    ("independent", 1, True, {}),
    ("independent", 3, False, {}),
    ("med", 2, True, {}),
    ("med", 2, False, {"alpha": 0.3}),
    ("med", 3, True, {"gamma": 2.0}),
    ("med", 4, False, {"gamma": 0.5}),
]


@pytest.fixture(autouse=True)
def interpreter(request):
    """Kernels run on the CPU. Triton decides when it is imported."""
    if "interpreted" in request.keywords:
        os.environ["TRITON_INTERPRET"] = "1"
        pytest.importorskip("triton", reason="Triton is not installed")


def problem(coupling, peers, shared, settings, trials=1, count=21, items=150, dim=12, sharpness=1.0):
    """States, tables and a problem, all in double precision."""
    generator = torch.Generator().manual_seed(peers)
    states = torch.randn(trials * peers, count, dim, generator=generator, dtype=torch.float64) * sharpness
    tables = torch.randn(trials, 1 if shared else peers, items + 1, dim, generator=generator, dtype=torch.float64)
    targets = torch.randint(1, items + 1, (trials, count), generator=generator)
    likely = (states.view(trials, peers, count, dim)[:, 0] @ tables[:, 0, 1:].transpose(1, 2)).argmax(-1) + 1
    targets[:, ::3] = likely[:, ::3]  # a third of the answers are what a peer holds most likely
    weights = torch.rand(trials, count, generator=generator) + (torch.arange(count) > 2)
    kind = KINDS[coupling](Settings(count=peers, coupling=coupling, **settings))
    return states, tables, Problem(kind, targets, weights)


def in_double(states, tables, given):
    """Loss and gradients by autograd, from all the scores at once."""
    states, tables = states.clone().requires_grad_(), tables.clone().requires_grad_()
    trials, count = given.targets.shape
    grouped = states.view(trials, -1, count, states.shape[-1])
    logits = grouped @ tables[:, :, 1:].transpose(-1, -2)
    terms = given.coupling.loss(Chunk(logits, given.targets - 1))
    mean = (given.weights / given.weights.sum(1, keepdim=True)).double()[:, None]
    weights = given.coupling.weights(0)
    total = torch.stack([weights[name] * (term * mean).sum() for name, term in terms.items()]).sum()
    total.backward()
    return total.detach(), states.grad, tables.grad


def by_kernels(states, tables, given):
    states, tables = states.float().requires_grad_(), tables.float().requires_grad_()
    total, parts = fused_loss(states, tables, given)
    total.backward()
    return total.detach(), states.grad, tables.grad, parts


@pytest.mark.interpreted
@pytest.mark.parametrize(("coupling", "peers", "shared", "settings"), CASES, ids=str)
@pytest.mark.parametrize("sharpness", [0.3, 3.0, 30.0])  # the last: probabilities that are 1 in single precision
def test_kernels_agree_with_double_precision(coupling, peers, shared, settings, sharpness):
    states, tables, given = problem(coupling, peers, shared, settings, sharpness=sharpness)
    states, tables = states.float().double(), tables.float().double()
    total, by_states, by_tables = in_double(states, tables, given)
    found, found_states, found_tables, _ = by_kernels(states, tables, given)
    torch.testing.assert_close(found.double(), total, rtol=1e-5, atol=0)
    for mine, exact in ((found_states, by_states), (found_tables, by_tables)):
        assert (mine.double() - exact).abs().max() < 2e-5 * exact.abs().max()
    assert not found_tables[:, :, 0].any()


@pytest.mark.interpreted
def test_kernels_give_the_chunked_loss_of_stacked_trials_term_by_term():
    states, tables, given = problem("med", 2, True, {"truncation": 0.2}, trials=2)
    states, tables = states.float(), tables.float()
    total, terms = chunked_loss(states, tables, {}, given)
    found, *_, parts = by_kernels(states, tables, given)
    torch.testing.assert_close(found, total)
    torch.testing.assert_close(parts, terms)


@pytest.mark.interpreted
def test_kernels_are_tried_before_they_are_used(monkeypatch):
    case = Case(Med, 1.0, 2, True, 8, "cpu")
    assert failure.__wrapped__(case) == ""
    right = choice.fused_loss
    monkeypatch.setattr(choice, "fused_loss", lambda *given: [1.01 * right(*given)[0]])
    assert failure.__wrapped__(case) == "Triton kernels gave wrong gradients"
    monkeypatch.setattr(choice, "fused_loss", lambda *given: 1 / 0)
    assert failure.__wrapped__(case) == "Triton kernels failed: ZeroDivisionError"


def test_what_stands_against_kernels_is_said(monkeypatch):
    _, tables, given = problem("med", 2, True, {})
    assert obstacle(given, tables) == "no CUDA device"
    with FakeTensorMode():
        on_gpu, wide = (torch.empty(1, 1, 151, dim, device="cuda") for dim in (12, 240))
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert obstacle(given, on_gpu) == "Triton is not installed"
    monkeypatch.setattr(choice, "find_spec", lambda name: name)
    monkeypatch.setattr(choice, "failure", lambda case: "")
    assert obstacle(given, on_gpu) == ""
    assert obstacle(replace(given, negatives=given.targets), on_gpu) == "items are sampled"
    for coupling in (Mutual(Settings()), Med(Settings(belief="self")), Med(Settings(terms="positive"))):
        assert obstacle(replace(given, coupling=coupling), on_gpu) == "this coupling has no kernel"
    assert "width up to 128" in obstacle(given, wide)


COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hail_study.objectives.fused import kernels

kinds = {"target_pointer": "*i64", "top_pointer": "*i32"}
for kernel in (kernels.statistics, kernels.sums, kernels.table_gradient):
    fixed = dict(K=2, PEERS=2, DIM=64, WIDTH=64, SHARED=True, PRECISION="tf32x3", N=32, C=32)
    fixed |= {} if kernel is kernels.statistics else {"MED": True, "GAMMA": 1.0}
    types = {
        name: "constexpr" if name in fixed else kinds.get(name, "*fp32" if name.endswith("pointer") else "i32")
        for name in kernel.arg_names
    }
    constants = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    compiled = compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 8, "num_stages": 2})
    assert compiled.asm["cubin"] and compiled.metadata.shared < 163 * 1024  # what an A100 has for a program
"""


def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path):
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    subprocess.run([sys.executable, "-c", COMPILED], check=True, env=environment, timeout=240)
