"""The parts of a loop's lines: what it goes through, what its variables are called, what a turn runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Index, Literal, Name, Ref, Sequence, Spread
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, nested
from transpiler.outline.names import element_name, singular
from transpiler.outline.repeat import START, VALUE, Inner, Repeat, Table
from transpiler.reserved import GATHERED
from transpiler.trees import code_of, is_value, refs, transform, walk


@dataclass(frozen=True, slots=True)
class LoopParts:
    """A turn over values of its own: elements first, then what is handed on, then what statements make."""

    iterables: tuple[Code, ...]
    variables: tuple[str, ...]
    """What to call the elements; "_" for one that no turn reads."""
    items: list[Item | BranchItem]
    handed: tuple[Code, ...]
    lasts: tuple[Code, ...]
    collected: tuple[Code, ...]
    starts: int
    """How many values are handed on."""

    @property
    def result(self) -> Code:
        """All that a turn leaves."""
        return Sequence("tuple", (*self.collected, *self.lasts, *self.handed))


def loop_parts(repeat: Repeat, named: Callable[[Code], Code], author: AuthorNames) -> LoopParts:
    """Take a loop apart.

    Args:
        repeat: the loop.
        named: writes what stands around the loop over names.
        author: what torch's source calls things.
    """
    sources, starts, codes, handed, lasts, collected = repeat.parts()
    written = [_display(named(source)) for source in sources]
    index = next((place for place, source in enumerate(sources) if _counts(source)), None)
    kept = [place for place, source in enumerate(written) if index is None or not _is_indexable(source)]
    elements = {place: number for number, place in enumerate(kept)}

    def change(node: Code) -> Code | None:
        if not isinstance(node, Inner):
            return named(node) if isinstance(node, Ref) else None
        if node.number >= VALUE:
            return Ref(len(kept) + len(starts) + node.number - VALUE)
        if node.number >= START:
            return Ref(len(kept) + node.number - START)
        if node.number in elements:
            return Ref(elements[node.number])
        return _element_at(written[node.number], Ref(elements[index or 0]))

    items: list[Item | BranchItem] = []
    count = len(kept) + len(starts)
    for code, turn in zip(codes, repeat.turns, strict=True):
        results = tuple(range(count, count + turn.width))
        count += turn.width
        names = tuple(None if name is None or name.endswith(GATHERED) else name for name in turn.names)
        items.append(Item(results, transform(code, change), names, turn.source, turn.comment))
    ends = [tuple(transform(code, change) for code in part) for part in (handed, lasts, collected)]
    parts = LoopParts((), (), items, ends[0], ends[1], ends[2], len(starts))
    parts = _nested(parts)
    read = {value for item in parts.items if isinstance(item, Item) for value in refs(item.code)}
    read.update(refs(parts.result))
    variables = tuple(
        _variable(sources[place], written[place], author) if elements[place] in read else "_" for place in kept
    )
    return replace(parts, iterables=tuple(written[place] for place in kept), variables=variables)


def _nested(parts: LoopParts) -> LoopParts:
    items, result = nested(parts.items, parts.result)
    ends = result.items if isinstance(result, Sequence) else ()
    first, second = len(parts.collected), len(parts.collected) + len(parts.lasts)
    return replace(parts, items=items, collected=ends[:first], lasts=ends[first:second], handed=ends[second:])


def zipped(iterables: tuple[Code, ...]) -> Code:
    """One thing to go through for several.

    >>> zipped((Name("self.m"), Name("x")))
    Call(function=Name(name='zip'), arguments=(Name(name='self.m'), Name(name='x')), keywords=())
    """
    return iterables[0] if len(iterables) == 1 else Call(Name("zip"), iterables)


def _display(source: Code) -> Code:
    return code_of(source.value) if isinstance(source, Table) else source


def _counts(source: Code) -> bool:
    """Whether it is `range(n)`."""
    return isinstance(source, Call) and source.function == Name("range") and len(source.arguments) == 1


def _is_indexable(source: Code) -> bool:
    return isinstance(source, c.Member) or type(source) is Name or _slice_of(source) is not None


def _slice_of(source: Code) -> tuple[Code, int] | None:
    """The list that a display takes one element after the other from, and which one is its first."""
    if type(source) is not Sequence or not source.items:
        return None
    first = source.items[0]
    if not isinstance(first, Index) or type(first.base) is not Name or len(first.items) != 1:
        return None
    start = first.items[0].value if isinstance(first.items[0], Literal) else None
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        return None
    wanted = tuple(Index(first.base, (Literal(start + place),)) for place in range(len(source.items)))
    return (first.base, start) if source.items == wanted else None


def _element_at(source: Code, number: Code) -> Code:
    """`xs[i]`, or `xs[i + 1]` for what begins with the second element."""
    part = _slice_of(source)
    if part is None:
        return Index(source, (number,))
    base, start = part
    return Index(base, (Binary("+", number, Literal(start)) if start else number,))


def _variable(source: Code, written: Code, author: AuthorNames) -> str:
    match written:
        case c.Member(name) | Index(c.Member(name), _):
            return author.loop_variables.get(name) or element_name(name, author.words)
        case Name(name) | Index(Name(name), _):
            plain = name.removeprefix("self.")
            plural = plain.endswith("s") and singular(plain) != "layer"
            element = element_name(plain, author.words) if plural else plain
            return author.loop_variables.get(plain) or (element if isinstance(source, Literal) or plural else "x")
        case Call():
            return "i"
        case Sequence(_, items) if not is_value(written):
            single = [item for item in items if not isinstance(item, Spread)]
            names = (node.name for item in single or items for node in walk(item) if isinstance(node, Name | c.Member))
            return next(names, "x").rstrip("0123456789_") or "x"
        case _:
            return "size"
