"""Other ways to write a statement that the formatter would spread over many lines.

>>> # x = ops.roll(x, -1) if self.shifted else x    is    if self.shifted: x = ops.roll(x, -1)
>>> # x = self.proj(ops.reshape(x, (-1, 49, 96)))   is    x = ops.reshape(x, (-1, 49, 96)); x = self.proj(x)
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from transpiler.code import Call, Code, Comprehension, Conditional, Function, Index, Literal, Member, Name
from transpiler.code import Sequence as Displayed
from transpiler.keras_functions import SHAPE, TRANSPOSE
from transpiler.outline.choices import negated
from transpiler.outline.constructor import used_names
from transpiler.outline.names import usable
from transpiler.outline.program import Assign, If, Line, Return
from transpiler.render.made_once import made_once
from transpiler.render.one_comprehension import in_one_comprehension
from transpiler.render.padding_once import padding_once
from transpiler.trees import children, names_in, transform, walk

Lines: TypeAlias = tuple[Line, ...]

_HOLE = Name("_")


def alternatives(line: Line, after: Sequence[Line], taken: Container[str] = (), *, is_call: bool) -> Iterator[Lines]:
    """The same in several statements.

    Args:
        line: the statement.
        after: everything that may run after it.
        taken: names of functions that the method calls, which a variable must not hide.
        is_call: whether it stands in `call`, where a variable may take another value.
    """
    match line:
        case Assign((target,), Conditional() as value, comment) if not comment:
            yield from _branches(target, value)
        case Return(Conditional(test, then, otherwise), comment) if not comment:
            yield (If(test, (Return(then),)), Return(otherwise))
        case _:
            pass
    if isinstance(line, Assign | Return) and (whole := transform(line.value, _chosen_whole)) != line.value:
        yield (replace(line, value=whole),)
    if is_call and isinstance(line, Assign | Return):
        yield from _in_turn(line, after, taken)
    if not is_call:
        if isinstance(line, Assign) and (whole := transform(line.value, in_one_comprehension)) != line.value:
            yield (replace(line, value=whole),)
        yield from padding_once(line, after)
        for conv, rest in made_once(line, after):
            yield (conv, rest)
            yield (*_settled(conv), *_settled(rest))


def _chosen_whole(code: Code) -> Code | None:
    """`(0, 1, 2) if test else (0, 2, 1)` for `(0, 1 if test else 2, 2 if test else 1)`."""
    if type(code) is not Displayed:
        return None
    choices = [item for item in code.items if isinstance(item, Conditional)]
    if len(choices) < 2 or any(item.test != choices[0].test or not _is_of_literals(item) for item in choices):
        return None

    def items(*, then: bool) -> tuple[Code, ...]:
        return tuple(
            item if not isinstance(item, Conditional) else item.then if then else item.otherwise for item in code.items
        )

    return Conditional(choices[0].test, replace(code, items=items(then=True)), replace(code, items=items(then=False)))


def _is_of_literals(choice: Conditional) -> bool:
    return isinstance(choice.then, Literal) and isinstance(choice.otherwise, Literal)


def _branches(target: str, value: Conditional) -> Iterator[Lines]:
    then, otherwise = Assign((target,), value.then), Assign((target,), value.otherwise)
    if value.otherwise == Name(target):
        yield (If(value.test, (then,)),)
    elif value.then == Name(target):
        yield (If(negated(value.test), (otherwise,)),)
    elif isinstance(value.otherwise, Literal) and target not in {*names_in(value.test), *names_in(value.then)}:
        yield (otherwise, If(value.test, (then,)))
    else:
        yield (If(value.test, (then,), (otherwise,)),)


def _in_turn(line: Assign | Return, after: Sequence[Line], taken: Container[str]) -> Iterator[Lines]:
    """An inner call first, into a variable that nothing else needs."""
    for inner in _inner_calls(line.value):
        outer = _without(line.value, inner)
        left = names_in(outer)
        if left.count(_HOLE.name) != 1:
            continue
        name = next((name for name in _names(line, inner, after, taken) if name not in left), None)
        if name is None:
            continue
        before = Assign((name,), inner)
        rest = replace(line, value=_put(outer, Name(name)))
        if line.comment and not _transposes(outer):
            before, rest = replace(before, comment=line.comment), replace(rest, comment="")
        yield (*_settled(before), rest)


def _names(line: Assign | Return, inner: Code, after: Sequence[Line], taken: Container[str]) -> Iterator[str]:
    """What an inner result may be called: as what it is made of if that is not needed any more, as the whole, or as the
    first layer that makes it, which tells one element of a list from another.
    """
    layer = _first_layer(inner)
    by_layer = [layer] if layer and usable(layer, ()) == layer and layer not in taken and _is_dead(layer, after) else []
    if _is_element(inner, line.value):
        yield from by_layer
    made_of = _made_of(inner)
    whole = line.targets[0] if isinstance(line, Assign) and len(line.targets) == 1 else None
    if made_of is not None and (made_of == whole or _is_dead(made_of, after)):
        yield made_of
    if whole is not None and not whole.startswith("self."):
        yield whole
    yield from by_layer


def _is_element(inner: Code, code: Code) -> bool:
    displays = (node for node in walk(code) if type(node) is Displayed)
    return any(item is inner for display in displays for item in display.items)


def _first_layer(code: Code) -> str | None:
    """The attribute that is called first on the way to the result."""
    first = None
    while isinstance(code, Call):
        match code.function:
            case Member(name, index=None):
                first = name
            case Name(name) if name.startswith("self."):
                first = name.removeprefix("self.")
            case _:
                pass
        code = code.arguments[0] if code.arguments else code.function
    return first


def _made_of(code: Code) -> str | None:
    """The variable that is changed, through all calls."""
    while isinstance(code, Call | Conditional | Index):
        match code:
            case Call(_, (first, *_)):
                code = first
            case Conditional():
                code = code.otherwise
            case Index():
                code = code.base
            case _:
                return None
    return code.name if type(code) is Name and not code.name.startswith("self.") else None


def _settled(line: Assign) -> Lines:
    """`x = f(x) if test else x` as a branch."""
    if isinstance(line.value, Conditional):
        return next(_branches(line.targets[0], line.value))
    return (line,)


def _inner_calls(code: Code) -> Iterator[Code]:
    """What is computed in any case, and is a tensor."""
    if isinstance(code, Conditional | Comprehension):
        return
    for child in children(code):
        if isinstance(child, Conditional) and isinstance(child.otherwise, Name):
            yield child
        if isinstance(child, Call) and _is_tensor(child):
            yield child
        yield from _inner_calls(child)


def _is_tensor(call: Call) -> bool:
    function = call.function
    if type(function) is Name:
        return function.name.startswith("self.")
    return isinstance(function, Member) or (isinstance(function, Function) and function != SHAPE)


def _without(code: Code, inner: Code) -> Code:
    return transform(code, lambda node: _HOLE if node is inner else None)


def _put(code: Code, name: Name) -> Code:
    return transform(code, lambda node: name if node == _HOLE else None)


def _transposes(code: Code) -> bool:
    return any(isinstance(node, Call) and node.function == TRANSPOSE for node in walk(code))


def _is_dead(name: str, after: Sequence[Line]) -> bool:
    """Whether nothing reads the variable before it gets another value."""
    for line in after:
        if name in used_names((line,), ()):
            return False
        if isinstance(line, Assign) and name in line.targets:
            return True
    return True
