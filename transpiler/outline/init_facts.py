"""What a torch constructor says, as facts over its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from transpiler.code import Code, Index, Literal, Name, Sequence, Unary
from transpiler.trees import names_in, transform

_Fact = TypeVar("_Fact")


@dataclass(frozen=True, slots=True)
class CallFact:
    """A call in the constructor: `nn.Conv2d(c1, c2, k)`; None stands for an argument that was not understood."""

    function: str
    """Last part of the called name."""
    arguments: tuple[Code | None, ...]
    keywords: tuple[tuple[str, Code | None], ...]


@dataclass(frozen=True, slots=True)
class InitFacts:
    definitions: tuple[tuple[str, Code], ...]
    """Locals, `self.` attributes and parameters that are assigned exactly once, in order."""
    calls: dict[str, tuple[CallFact, ...]]
    """Calls by the member (or local variable) that their result goes into; "" has all of them."""
    counts: dict[str, tuple[Code, ...]]
    """Arguments of `range` by member."""
    expressions: tuple[Code, ...]
    """Every expression that was understood, larger ones first seen first, without literals."""
    tests: tuple[Code, ...]
    """What `if`s, conditional expressions and boolean assignments ask."""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What it reads of its parameters: `hidden_size` of `config`."""
    loops: tuple[tuple[str, Code], ...] = ()
    """Names that go over the items of something: `for hidden_dim in hidden_channels`."""
    numbers: frozenset[int] = frozenset()
    """Whole numbers that it writes out; defaults of parameters have a name and are none."""
    running: frozenset[str] = frozenset()
    """Locals that are computed from what they were before: `channels = channels + growth`."""


def joined(own: InitFacts, base: InitFacts) -> InitFacts:
    """The facts of a constructor and of the one of its base that it calls.

    Definitions of either may need the other's: the own ones stand before and after.
    """
    names = {name for name, _ in own.definitions}
    inherited = tuple((name, code) for name, code in base.definitions if name not in names)
    return InitFacts(
        (*own.definitions, *inherited, *own.definitions),
        _merged(own.calls, base.calls),
        _merged(own.counts, base.counts),
        tuple(dict.fromkeys((*own.expressions, *base.expressions))),
        tuple(dict.fromkeys((*own.tests, *base.tests))),
        own.attributes,
        (*own.loops, *base.loops),
        own.numbers | base.numbers,
        own.running | base.running,
    )


def substituted(facts: InitFacts, given: Mapping[str, Code | None]) -> InitFacts:
    """The facts with expressions for parameters; what needs a parameter without one is left out."""

    def put(code: Code | None) -> Code | None:
        if code is None:
            return None
        unknown = {name for name in names_in(code) if name in given and given[name] is None}
        return None if unknown else transform(transform(code, _replacement), _item_of_list)

    def _replacement(node: Code) -> Code | None:
        return given.get(node.name) if type(node) is Name else None

    def put_all(codes: tuple[Code, ...]) -> tuple[Code, ...]:
        return tuple(new for code in codes if (new := put(code)) is not None)

    return InitFacts(
        tuple((name, new) for name, code in facts.definitions if name not in given and (new := put(code)) is not None),
        {
            name: tuple(
                replace(
                    call,
                    arguments=tuple(map(put, call.arguments)),
                    keywords=tuple((word, put(value)) for word, value in call.keywords),
                )
                for call in calls
            )
            for name, calls in facts.calls.items()
        },
        {name: put_all(codes) for name, codes in facts.counts.items()},
        put_all(facts.expressions),
        put_all(facts.tests),
        loops=tuple((name, new) for name, code in facts.loops if (new := put(code)) is not None),
        numbers=facts.numbers,
        running=facts.running,
    )


def _item_of_list(code: Code) -> Code | None:
    """`b` of `[a, b][-1]`."""
    match code:
        case Index(Sequence(_, items), (Literal(int() as place),)) if place < len(items):
            return items[place]
        case Index(Sequence(_, items), (Unary("-", Literal(int() as place)),)) if 0 < place <= len(items):
            return items[-place]
        case _:
            return None


def _merged(
    one: Mapping[str, tuple[_Fact, ...]], other: Mapping[str, tuple[_Fact, ...]]
) -> dict[str, tuple[_Fact, ...]]:
    return {name: (*one.get(name, ()), *other.get(name, ())) for name in (*one, *other)}
