"""One flow for several instances is the flow of each of them."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.outline.faithful import is_faithful
from transpiler.code import Call, Code, Member, Ref
from transpiler.lowered import SourceLine
from transpiler.outline.flow import merge
from transpiler.outline.forms import Form
from transpiler.outline.loops import Step


@st.composite
def instances(draw: st.DrawFn) -> list[Form]:
    """Instances of a program of which each leaves out some statements and reads what is there instead."""
    length = draw(st.integers(1, 7))
    reads = [draw(st.lists(st.integers(0, place), min_size=1, max_size=2)) for place in range(length)]
    return [_instance(draw, reads) for _ in range(draw(st.integers(1, 4)))]


def _instance(draw: st.DrawFn, reads: list[list[int]]) -> Form:
    values = {0: 0}
    """Values of the whole program to those of the instance; what is left out is what it would have changed."""
    steps: list[Step] = []
    for place, operands in enumerate(reads):
        if draw(st.integers(0, 3)) == 0:
            values[place + 1] = values[operands[0]]
            continue
        code: Code = Call(Member(f"f{place}"), tuple(Ref(values[operand]) for operand in operands))
        values[place + 1] = len(steps) + 1
        steps.append(Step(code, 1, ("x",), SourceLine("m.py", place)))
    last = tuple(Ref(values[value]) for value in sorted(values)[-2:])
    return Form((("x", False),), (), tuple(steps), Call(Member("last"), last), frozen=False)


@settings(max_examples=int(os.environ.get("KERASCRIBE_FUZZ", "1000")), suppress_health_check=list(HealthCheck))
@given(instances())
def test_a_merged_flow_is_the_flow_of_each_instance(forms):
    merged = merge(forms)
    assert merged is None or is_faithful(merged, forms)


def test_a_wrong_flow_is_told() -> None:
    one, other = (
        Form((("x", False),), (), (Step(Call(Member(name), (Ref(0),)), 1, ("x",), None),), Ref(1), frozen=False)
        for name in ("f", "g")
    )
    merged = merge([one, one])
    assert merged is not None
    assert is_faithful(merged, [one, one])
    assert not is_faithful(merged, [one, other])
