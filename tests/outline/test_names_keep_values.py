"""Whatever torch calls things, a name is read for the value that it was written for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transpiler.code import Call, Code, Conditional, Index, Literal, Member, Name, Ref, Sequence, Spread
from transpiler.lowered import SourceLine
from transpiler.outline.call_body import call_body
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, JoinItem
from transpiler.outline.program import Assign, If, Line, Return

FORWARDS = (
    "def forward(self, x):\n    shortcut = x\n    x = f(x)\n    x = shortcut + x\n    return x",
    "def forward(self, x):\n    shifted = x\n    x = f(shifted)\n    x = shifted\n    y = x\n    return x + y",
    "def forward(self, x):\n    ys = []\n    for m in ms:\n        y = m(x)\n        ys.append(y)\n    return cat(ys)",
    "def forward(self, x):\n    y = x\n    x = y\n    shortcut = y\n    shortcut = x\n    return x",
)
NAMES = st.sampled_from(["x", "y", "shortcut", "shifted", None])
FLAGS = (Name("self.first"), Name("self.second"))


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Item | BranchItem], Code]:
    """Statements and what is returned; value 0 is the argument."""
    count = 1
    known = [0]

    def step(readable: list[int]) -> Item:
        nonlocal count
        operands = draw(st.lists(st.sampled_from(readable), min_size=1, max_size=2))
        code = Call(Member(f"f{count}"), tuple(map(Ref, operands)))
        item = Item((count,), code, (draw(NAMES),), SourceLine("m.py", draw(st.integers(1, 4))))
        count += 1
        return item

    def way(size: int) -> tuple[list[Item], list[int]]:
        items: list[Item] = []
        readable = list(known)
        for _ in range(size):
            items.append(step(readable))
            readable += items[-1].results
        return items, readable

    items: list[Item | BranchItem] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            items.append(step(known))
            known += items[-1].results
            continue
        then, inside = way(draw(st.integers(1, 3)))
        otherwise, outside = way(draw(st.integers(0, 2)))
        joins = []
        for _ in range(draw(st.integers(1, 2))):
            one, other = draw(st.sampled_from(inside[len(known) :])), draw(st.sampled_from(outside))
            if all((join.inside, join.outside) != (one, other) for join in joins):
                joins.append(JoinItem(count, one, other))
                count += 1
        items.append(BranchItem(draw(st.sampled_from(FLAGS)), tuple(then), tuple(otherwise), tuple(joins)))
        known += [join.result for join in joins]
    return items, Call(Member("last"), tuple(map(Ref, known[-3:])))


def computed(code: Code, values: Mapping[Any, Any], flags: Mapping[str, bool]) -> Any:
    """What an expression is, as a term."""
    match code:
        case Ref(value):
            return values[value]
        case Name(name) if name in values:
            return values[name]
        case Conditional(test, then, otherwise):
            return computed(then if asked(test, flags) else otherwise, values, flags)
        case Call(function, arguments):
            return (function.name.removeprefix("self."), *(computed(part, values, flags) for part in arguments))
        case Index(base, (Literal(place),)):
            return computed(base, values, flags)[place]
        case Sequence(_, items):
            return [computed(item, values, flags) for item in items]
        case Spread():
            raise AssertionError(code)
        case _:
            raise AssertionError(code)


def asked(test: Code, flags: Mapping[str, bool]) -> bool:
    return flags[test.name] if type(test) is Name else not flags[test.operand.name]


def result_of_items(items: list[Item | BranchItem], result: Code, flags: Mapping[str, bool]) -> Any:
    values: dict[int, Any] = {0: "x"}
    for item in items:
        if isinstance(item, Item):
            values[item.results[0]] = computed(item.code, values, flags)
            continue
        taken = asked(item.test, flags)
        for inner in item.then if taken else item.otherwise:
            values[inner.results[0]] = computed(inner.code, values, flags)
        for join in item.joins:
            values[join.result] = values[join.inside if taken else join.outside]
    return computed(result, values, flags)


def result_of_lines(lines: tuple[Line, ...], values: dict[str, Any], flags: Mapping[str, bool]) -> Any:
    for line in lines:
        match line:
            case Return(value):
                return computed(value, values, flags)
            case If(test, then, otherwise):
                found = result_of_lines(then if asked(test, flags) else otherwise, values, flags)
                assert found is None
            case Assign((), Call(Name(name), (added,))) if name.endswith(".append"):
                values[name.removesuffix(".append")].append(computed(added, values, flags))
            case Assign((), _):
                pass
            case Assign(targets, value):
                made = computed(value, values, flags)
                values.update(zip(targets, made, strict=True) if len(targets) > 1 else [(targets[0], made)])
            case _:
                raise AssertionError(line)
    return None


@settings(max_examples=int(os.environ.get("KERASCRIBE_FUZZ", "1000")), suppress_health_check=list(HealthCheck))
@given(programs(), st.sampled_from(FORWARDS), st.booleans(), st.booleans())
def test_lines_compute_what_the_statements_compute(program, forward, first, second):
    items, result = program
    author = AuthorNames.of(forward, tuple(f"f{number}" for number in range(30)), arguments=["x"])
    flags = {"self.first": first, "self.second": second}
    lines = call_body((("x", False),), items, result, frozenset(), author).lines
    assert result_of_lines(lines, {"x": "x"}, flags) == result_of_items(items, result, flags), lines
