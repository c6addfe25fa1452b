"""What statements, and the lines written for them, compute: terms of the functions that they call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transpiler.code import (
    Attribute,
    Call,
    Code,
    Comprehension,
    Conditional,
    Index,
    Literal,
    Name,
    Ref,
    Sequence,
    Spread,
)
from transpiler.outline.lines import BranchItem, Item
from transpiler.outline.program import Assign, For, If, Line, Return
from transpiler.outline.repeat import START, VALUE, Inner, Repeat


def computed(code: Code, values: Mapping[Any, Any], flags: Mapping[str, bool]) -> Any:
    """What an expression is, as a term."""
    match code:
        case Ref(key) | Name(key) if key in values:
            return values[key]
        case Inner():
            return values[code]
        case Conditional(test, then, otherwise):
            return computed(then if asked(test, flags) else otherwise, values, flags)
        case Call(Name("zip"), arguments):
            return list(zip(*(computed(part, values, flags) for part in arguments), strict=True))
        case Call(function, arguments):
            parts = (computed(part, values, flags) for part in arguments)
            return (
                function.name.removeprefix("self."),
                *(tuple(part) if type(part) is list else part for part in parts),
            )
        case Index(base, (Literal(place),)):
            return computed(base, values, flags)[place]
        case Sequence(_, (Comprehension(_, (item,), variables, iterable),)):
            turns = computed(iterable, values, flags)
            return [computed(item, {**values, **_bound(variables, turn)}, flags) for turn in turns]
        case Sequence(_, items):
            return [part for item in items for part in _elements(item, values, flags)]
        case _:
            raise AssertionError(code)


def _elements(item: Code, values: Mapping[Any, Any], flags: Mapping[str, bool]) -> list[Any]:
    if isinstance(item, Spread):
        return [part for inner in item.items for part in computed(inner, values, flags)]
    return [computed(item, values, flags)]


def _bound(variables: tuple[str, ...], turn: Any) -> dict[str, Any]:
    return dict(zip(variables, turn, strict=True)) if len(variables) > 1 else {variables[0]: turn}


def asked(test: Code, flags: Mapping[str, bool]) -> bool:
    return flags[test.name] if type(test) is Name else not flags[test.operand.name]


def result_of_items(items: list[Item | BranchItem], result: Code, flags: Mapping[str, bool]) -> Any:
    values: dict[int, Any] = {0: "x"}
    for item in items:
        if isinstance(item, Item):
            _run(item, values, flags)
            continue
        taken = asked(item.test, flags)
        for inner in item.then if taken else item.otherwise:
            _run(inner, values, flags)
        for join in item.joins:
            values[join.result] = values[join.inside if taken else join.outside]
    return computed(result, values, flags)


def _run(item: Item, values: dict[Any, Any], flags: Mapping[str, bool]) -> None:
    if not isinstance(item.code, Repeat):
        values[item.results[0]] = computed(item.code, values, flags)
        return
    sources, starts, codes, handed, lasts, collected = item.code.parts()
    carried = [computed(start, values, flags) for start in starts]
    gathered: list[list[Any]] = [[] for _ in collected]
    inner: dict[Any, Any] = {}
    for turn in zip(*(computed(source, values, flags) for source in sources), strict=True):
        inner = {Inner("", number): element for number, element in enumerate(turn)}
        inner |= {Inner("", START + number): value for number, value in enumerate(carried)}
        for number, code in enumerate(codes):
            inner[Inner("", VALUE + number)] = computed(code, {**values, **inner}, flags)
        carried = [inner[code] for code in handed]
        for made, code in zip(gathered, collected, strict=True):
            made.append(inner[code])
    values.update(zip(item.results, [*(inner[code] for code in lasts), *gathered], strict=True))


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
            case For(variables, iterable, body):
                for turn in computed(iterable, values, flags):
                    values.update(_bound(variables, turn))
                    assert result_of_lines(body, values, flags) is None
            case Assign((), Call(Attribute(Name(name), "append"), (added,))):
                values[name].append(computed(added, values, flags))
            case Assign((), _):
                pass
            case Assign(targets, value):
                made = computed(value, values, flags)
                values.update(zip(targets, made, strict=True) if len(targets) > 1 else [(targets[0], made)])
            case _:
                raise AssertionError(line)
    return None
