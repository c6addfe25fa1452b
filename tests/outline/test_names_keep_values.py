"""Whatever torch calls things, a name is read for the value that it was written for."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.outline.terms import result_of_items, result_of_lines
from transpiler.code import (
    Call,
    Code,
    Function,
    Member,
    Name,
    Ref,
    Sequence,
)
from transpiler.lowered import SourceLine
from transpiler.outline.call_body import call_body
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, JoinItem
from transpiler.outline.repeat import START, VALUE, Inner, Repeat, Turn

FORWARDS = (
    "def forward(self, x):\n    shortcut = x\n    x = f(x)\n    x = shortcut + x\n    return x",
    "def forward(self, x):\n    shifted = x\n    x = f(shifted)\n    x = shifted\n    y = x\n    return x + y",
    "def forward(self, x):\n    ys = []\n    for m in ms:\n        y = m(x)\n        ys.append(y)\n    return cat(ys)",
    "def forward(self, x):\n    y = x\n    x = y\n    shortcut = y\n    shortcut = x\n    return x",
)
NAMES = ("x", "y", "shortcut", "shifted", None)
LINES = st.builds(SourceLine, st.just("m.py"), st.integers(1, 4))
TURNS = st.builds(Turn, st.just(1), st.tuples(st.sampled_from(NAMES)), LINES)
FLAGS = (Name("self.first"), Name("self.second"))


@st.composite
def loops(draw: st.DrawFn, readable: list[int], count: int) -> Item:
    """A loop over displays of readable values, with what turns hand on; its results are numbered from `count`."""
    length = draw(st.integers(2, 3))
    values = st.lists(st.sampled_from(readable), min_size=length, max_size=length)
    sources = draw(st.lists(values, min_size=1, max_size=2))
    starts = draw(st.lists(st.sampled_from(readable), max_size=2))
    inside: list[Code] = [Inner("", number) for number in range(len(sources))]
    inside += [Inner("", START + number) for number in range(len(starts))]
    codes: list[Code] = []
    for number in range(draw(st.integers(1, 3))):
        operands = draw(st.lists(st.sampled_from([*inside, *map(Ref, readable)]), min_size=1, max_size=2))
        codes.append(Call(Member(f"g{count}_{number}"), tuple(operands)))
        inside.append(Inner("", VALUE + number))
    made = inside[-len(codes) :]
    handed = [draw(st.sampled_from(inside)) for _ in starts]
    lasts = draw(st.lists(st.sampled_from(made), max_size=2, unique=True))
    collected = draw(st.lists(st.sampled_from(made), min_size=0 if lasts else 1, max_size=1))
    shown = [Sequence("tuple", tuple(map(Ref, source))) for source in sources]
    code = Repeat(
        Function("loop"),
        (*shown, *map(Ref, starts), *codes, *handed, *lasts, *collected),
        sources=len(sources),
        starts=len(starts),
        widths=(1,) * len(codes),
        lasts=len(lasts),
        turns=tuple(Turn(1, (draw(st.sampled_from(NAMES)),), draw(LINES)) for _ in codes),
    )
    results = tuple(range(count, count + len(lasts) + len(collected)))
    return Item(results, code, (None,) * len(results), SourceLine("m.py", 9))


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Item | BranchItem], Code]:
    """Statements and what is returned; value 0 is the argument."""
    count = 1
    known = [0]

    def step(readable: list[int]) -> Item:
        nonlocal count
        operands = tuple(map(Ref, draw(st.lists(st.sampled_from(readable), min_size=1, max_size=3))))
        as_list = draw(st.integers(0, 3)) == 0
        code = Call(Member(f"f{count}"), (Sequence("list", operands),) if as_list else operands)
        name, gathered = draw(st.sampled_from([(name, None) for name in NAMES] + [(None, "ys")]))
        item = Item((count,), code, (name,), draw(LINES), "", gathered)
        count += 1
        return item

    def statement(readable: list[int]) -> Item:
        nonlocal count
        if draw(st.integers(0, 3)):
            return step(readable)
        item = draw(loops(readable, count))
        count += len(item.results)
        return item

    def way(size: int) -> tuple[list[Item], list[int]]:
        items: list[Item] = []
        readable = list(known)
        for _ in range(size):
            items.append(statement(readable))
            readable += items[-1].results
        return items, readable

    items: list[Item | BranchItem] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            items.append(statement(known))
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


@settings(max_examples=int(os.environ.get("KERASCRIBE_FUZZ", "1000")), suppress_health_check=list(HealthCheck))
@given(programs(), st.sampled_from(FORWARDS), st.booleans(), st.booleans())
def test_lines_compute_what_the_statements_compute(program, forward, first, second):
    items, result = program
    author = AuthorNames.of(forward, tuple(f"f{number}" for number in range(30)), arguments=["x"])
    flags = {"self.first": first, "self.second": second}
    lines = call_body((("x", False),), items, result, frozenset(), author).lines
    assert result_of_lines(lines, {"x": "x"}, flags) == result_of_items(items, result, flags), lines
