"""Names for the values of `call`, and its lines.

A value takes the name that the torch line gave it. A name is used again only when the value that held it is dead.
"""

from __future__ import annotations

from collections.abc import Mapping

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Function, Literal, Ref
from transpiler.outline.lines import BranchItem, Item, JoinItem
from transpiler.outline.loops import Chain, Grow, NumberedMembers
from transpiler.outline.names import singular, usable
from transpiler.outline.program import Assign, Comprehension, For, If, Line, Name, Numbered, Return, Spread
from transpiler.outline.repeat_lines import loop_parts, zipped
from transpiler.outline.repeats import VALUE, Inner, Repeat
from transpiler.outline.trees import member_of, refs, transform, walk

NOUNS = {
    "concatenate": "joined",
    "reshape": "reshaped",
    "transpose": "transposed",
    "split": "parts",
    "shape": "shape",
    "matmul": "product",
    "multiply": "product",
    "add": "total",
    "softmax": "weights",
    "dot_product_attention": "attended",
    "arange": "positions",
    "broadcast_to": "broadcast",
}
"""What to call the result of an operation; others bear the operation's name."""

OPERATORS = {"+": "total", "-": "difference", "*": "product", "/": "ratio"}

_AFTER = 0.5
"""A value that a loop reads in every turn lives a little longer than the loop's line."""


class UnassignedError(Exception):
    """A value is read on a path that does not compute it: these instances are too different for one class."""


class BodyWriter:
    """Writes the lines of one `call`.

    Args:
        arguments: names of the arguments, as torch has them; they are the first values.
        lists: which of them are lists.
        items: statements, nested already.
        result: what is returned.
        taken: names that must not be shadowed.
        aliases: second names that torch gives to values, by the first ones.
        appended: lists that torch's loops append to.
    """

    def __init__(
        self,
        arguments: tuple[str, ...],
        lists: tuple[bool, ...],
        items: list[Item | BranchItem],
        result: Code,
        taken: frozenset[str],
        aliases: Mapping[str, tuple[str, ...]],
        appended: tuple[str, ...] = (),
    ) -> None:
        self.appended = appended
        self.aliases = aliases
        self.pending: list[Line] = []
        """Lines that must stand before the one that is being written."""
        self.items = items
        self.result = result
        self.taken = taken
        self.names: dict[int, str] = {}
        self.holders: dict[str, int] = {}
        self.last: dict[int, float] = {}
        self.read_last: dict[int, float] = {}
        """As `last`, without the ends of branches."""
        self.lists = {value for value, is_list in enumerate(lists) if is_list}
        self.now = 0.0
        self.before_branch: dict[int, str] = {}
        """Within a branch, the names of the values that were there before it."""
        for value, name in enumerate(arguments):
            self._hold(value, usable(name, taken | self.holders.keys()))
        self.arguments = tuple(self.names[value] for value in range(len(arguments)))
        self._find_last_uses()
        self.intermediate = _intermediate(items)
        """Results of statements after which the same line of torch computes what it is about."""

    def lines(self, wish: dict[int, str] | None = None) -> tuple[Line, ...]:
        """The lines of `call`.

        Args:
            wish: names that some values should bear.
        """
        written: list[Line] = []
        self.now = 0.0
        for item in self.items:
            if isinstance(item, BranchItem):
                written += self._branch(item)
            else:
                written += self._statement(item, wish)
        return (*written, Return(self._named(self.result)))

    # ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _find_last_uses(self) -> None:
        for item in self.items:
            if isinstance(item, Item):
                self._read(item)
                continue
            for value in refs(item.test):
                self.last[value] = self.read_last[value] = self.now + _AFTER
            for inner in (*item.then, *item.otherwise):
                self._read(inner)
            self.now += 1
            for join in item.joins:
                self.last[join.inside] = self.last[join.outside] = self.now
        self.now += 1
        for value in refs(self.result):
            self.last[value] = self.read_last[value] = self.now

    def _read(self, item: Item) -> None:
        self.now += 1
        for value in refs(item.code):
            self.last[value] = self.read_last[value] = self.now
        if isinstance(item.code, Repeat):
            sources, _, codes, *_ = item.code.parts()
            for value in (value for part in (*sources, *codes) for value in refs(part)):
                self.last[value] = self.read_last[value] = self.now + _AFTER
        if isinstance(item.code, Chain):
            for part in (*item.code.arguments[1:], *(value for _, value in item.code.keywords)):
                for value in refs(part):
                    self.last[value] = self.read_last[value] = self.now + _AFTER

    def _dead(self, value: int) -> bool:
        return self.last.get(value, 0.0) <= self.now

    def _hold(self, value: int, name: str) -> None:
        self.names[value] = name
        self.holders[name] = value

    def _free(self, name: str) -> bool:
        holder = self.holders.get(name)
        return name not in self.taken and (holder is None or self._dead(holder))

    def _give(self, value: int, wanted: str) -> str:
        name = usable(wanted, self.taken)
        if not self._free(name):
            self._give_way(name)
        if not self._free(name):
            live = {name for name, holder in self.holders.items() if not self._dead(holder)}
            name = usable(wanted, self.taken | live)
        self._hold(value, name)
        return name

    def _give_way(self, name: str) -> None:
        """Go on with a value under the second name that torch gives it, so that its first one is free."""
        holder = self.holders.get(name)
        second = next((other for other in self.aliases.get(name, ()) if self._free(usable(other, self.taken))), None)
        if holder is None or second is None or (self.before_branch and self.before_branch.get(holder) != name):
            return
        second = usable(second, self.taken)
        self.pending.append(Assign((second,), Name(name)))
        del self.holders[name]
        self._hold(holder, second)

    def _name_of(self, value: int) -> str:
        return _assigned(self.names, value)

    def _named(self, code: Code) -> Code:
        """The expression over names instead of values."""

        def change(node: Code) -> Code | None:
            if isinstance(node, Ref):
                return Name(self._name_of(node.value))
            return self._comprehension(node) if isinstance(node, Comprehension) else None

        return transform(code, change)

    def _comprehension(self, code: Comprehension) -> Code:
        """Its own variables must not hide what it reads."""
        read = {self._name_of(value) for value in refs(code)} | self.taken
        renames = {name: usable(name, read) for name in code.variables if name != "_"}

        def change(node: Code) -> Code | None:
            if isinstance(node, Ref):
                return Name(self._name_of(node.value))
            return Name(renames[node.name]) if isinstance(node, Name) and node.name in renames else None

        items = tuple(transform(item, change) for item in code.items)
        variables = tuple(renames.get(name, name) for name in code.variables)
        return Comprehension(code.kind, items, variables, self._named(code.iterable))

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _statement(self, item: Item, wish: dict[int, str] | None = None) -> list[Line]:
        lines = self._written(item, wish)
        if self.before_branch:  # what must stand before it stands before the branch
            return lines
        before, self.pending = self.pending, []
        return [*before, *lines]

    def _written(self, item: Item, wish: dict[int, str] | None) -> list[Line]:
        self.now += 1
        if isinstance(item.code, Chain):
            return self._chain(item, item.code)
        if isinstance(item.code, Grow):
            return self._grow(item, item.code)
        if isinstance(item.code, Repeat):
            return self._repeat(item, item.code)
        code = self._named(item.code)
        if not any(result in self.last for result in item.results):
            is_member = isinstance(item.code, Call) and isinstance(item.code.function, c.Member)
            return [Assign((), code, item.comment)] if is_member else []
        hints = item.names if len(item.names) == len(item.results) else (None,) * len(item.results)
        targets = []
        for place, (result, hint) in enumerate(zip(item.results, hints, strict=True)):
            if result not in self.last:
                targets.append("_")
                continue
            targets.append(self._give(result, (wish or {}).get(result) or self._wanted(item, place, hint)))
        return [Assign(tuple(targets), code, item.comment)]

    def _wanted(self, item: Item, place: int, hint: str | None) -> str:
        """What torch's line calls a value; if it is not the line's last, or that is taken, what it is made from."""
        read = next(iter(refs(item.code)), None)
        dying = read is not None and len(item.results) == 1 and read not in self.lists and self._dead(read)
        before = self.names[read] if read is not None and dying else None
        if hint is None or item.results in self.intermediate:
            return before or hint or self._telling(item, place)
        return hint if self._free(usable(hint, self.taken)) else before or hint

    @staticmethod
    def _telling(item: Item, place: int) -> str:
        """A name for a value that torch's line gives none."""
        match item.code:
            case Call(c.Member(name, _), _, _):
                base = name
            case Call(Function(name), _, _):
                last = name.rpartition(".")[2]
                base = NOUNS.get(last, last)
            case Binary(operator, _, _):
                base = OPERATORS.get(operator, "y")
            case _:
                base = "y"
        return base if len(item.results) == 1 else f"{base}{place + 1}"

    def _chain(self, item: Item, loop: Chain) -> list[Line]:
        (result,) = item.results
        start = loop.arguments[0]
        lines: list[Line] = []
        reused = isinstance(start, Ref) and start.value not in self.lists and self._dead(start.value)
        before = self._named(start)
        if reused and isinstance(start, Ref):
            name = self.names[start.value]
            self._hold(result, name)
        else:
            name = self._give(result, (item.names or (None,))[0] or "x")
            lines.append(Assign((name,), before))
        live = {name for name, holder in self.holders.items() if not self._dead(holder)}
        element = usable(singular(member_of(loop).name), self.taken | live | {name})
        arguments = tuple(self._named(part) for part in loop.arguments[1:])
        keywords = tuple((word, self._named(part)) for word, part in loop.keywords)
        call = Call(Name(element), (Name(name), *arguments), keywords)
        lines.append(For((element,), c.Member(member_of(loop).name), (Assign((name,), call),), item.comment))
        self.holders.pop(element, None)
        return lines

    def _grow(self, item: Item, grow: Grow) -> list[Line]:
        (result,) = item.results
        members = member_of(grow)
        start = self._named(grow.arguments[0])
        read = {node.name for node in walk(start) if isinstance(node, Name)}
        name = self._give(result, usable("features", self.taken | read))
        live = {name for name, holder in self.holders.items() if not self._dead(holder)}
        element = usable(singular(members.name), self.taken | live | {name})
        longer = c.Sequence("list", (Spread("list", (Name(name),)), Call(Name(element), (Name(name),))))
        body: tuple[Line, ...] = (Assign((name,), longer),)
        variable, iterable = element, c.Member(members.name)
        if isinstance(members, NumberedMembers):
            variable = usable("index", self.taken | live | {name, element})
            key = Numbered(variable, members.name, members.start)
            body = (Assign((element,), Call(Name("getattr"), (Name("self"), key))), *body)
            return [Assign((name,), start), For((variable,), Call(Name("range"), grow.arguments[1:]), body)]
        return [Assign((name,), start), For((variable,), iterable, body)]

    def _repeat(self, item: Item, repeat: Repeat) -> list[Line]:
        parts = loop_parts(repeat, self._named)
        carried, before = self._carried(repeat)
        lists = item.results[len(parts.lasts) :]
        names = [self._give(value, wanted) for value, wanted in zip(lists, self._list_names(repeat), strict=True)]
        self.lists.update(lists)
        live = {name for name, holder in self.holders.items() if not self._dead(holder)}
        arguments = (*parts.variables, *carried)
        taken = (self.taken | live | set(names)) - set(carried)
        inner = BodyWriter(arguments, (False,) * len(arguments), parts.items, parts.result, taken, self.aliases)
        wish = {code.value: name for code, name in zip(parts.handed, carried, strict=True) if isinstance(code, Ref)}
        *body, last = inner.lines(wish)
        left = last.value.items if isinstance(last, Return) and isinstance(last.value, c.Sequence) else ()
        variables = tuple(
            "_" if variable == "_" else name for variable, name in zip(parts.variables, inner.arguments, strict=False)
        )
        iterable = zipped(parts.iterables)
        if not body and not carried and len(names) == len(left) == 1:
            return [Assign((names[0],), c.Sequence("list", (Comprehension("list", left, variables, iterable),)))]
        for name, code in zip(names, left, strict=False):
            before.append(Assign((name,), c.Sequence("list", ())))
            body.append(Assign((), Call(c.Attribute(Name(name), "append"), (code,))))
        body += self._after_turn(item, left[len(names) :], carried)
        return [*before, For(variables, iterable, tuple(body))]

    def _carried(self, repeat: Repeat) -> tuple[list[str], list[Line]]:
        """Names of what turns hand on, and the lines that give it its first value."""
        _, starts, _, handed, *_ = repeat.parts()
        names: list[str] = []
        before: list[Line] = []
        for place, (start, code) in enumerate(zip(starts, handed, strict=True)):
            own = -1 - place - len(starts) * int(self.now)
            first = self._named(start)
            is_free = isinstance(start, Ref) and start.value not in self.lists and self._dead(start.value)
            if isinstance(first, Name) and is_free and self.holders.get(first.name, own) >= 0:
                self._hold(own, first.name)
            else:
                before.append(Assign((self._give(own, _hint(repeat, code) or "x"),), first))
            self.last[own] = self.now + _AFTER
            names.append(self.names[own])
        return names, before

    def _list_names(self, repeat: Repeat) -> list[str]:
        collected = repeat.parts()[-1]
        if len(collected) == len(self.appended):
            return list(self.appended)
        return [f"{_hint(repeat, code) or 'y'}s" for code in collected]

    def _after_turn(self, item: Item, left: tuple[Code, ...], carried: list[str]) -> list[Line]:
        """What is read after the loop, and what the next turn is handed."""
        lasts, handed = left[: len(left) - len(carried)], left[len(left) - len(carried) :]
        lines: list[Line] = []
        for result, code in zip(item.results, lasts, strict=False):
            if isinstance(code, Name) and code.name not in set(carried) - {other.name for other in _names(handed)}:
                self._hold(result, code.name)
            else:
                name = self._give(result, "y")
                lines.append(Assign((name,), code))
        lines += [Assign((name,), code) for name, code in zip(carried, handed, strict=True) if type(code) is not Name]
        return lines + _moves(
            [(name, code.name) for name, code in zip(carried, handed, strict=True) if type(code) is Name]
        )

    def _branch(self, branch: BranchItem) -> list[Line]:
        self.before_branch = dict(self.names)
        lines = self._branched(branch)
        self.before_branch = {}
        before, self.pending = self.pending, []
        return [*before, *lines]

    def _branched(self, branch: BranchItem) -> list[Line]:
        test = self._named(branch.test)
        wishes = {join.result: self._join_name(join, branch) for join in branch.joins}
        inside = {join.inside: wishes[join.result] for join in branch.joins}
        outside = {join.outside: wishes[join.result] for join in branch.joins}
        end = self.last[branch.joins[0].outside] if branch.joins else 0.0
        kept = [join.outside for join in branch.joins if wishes[join.result] == self.names.get(join.outside)]
        for value in kept:
            # `then` may overwrite it: the other way out still has it.
            self.last[value] = self.read_last.get(value, 0.0)
        then = [line for item in branch.then for line in self._statement(item, inside)]
        for value in kept:
            self.last[value] = end
        otherwise = [line for item in branch.otherwise for line in self._statement(item, outside)]
        self.now += 1
        held = dict(self.names)
        names = [self._give(join.result, wishes[join.result]) for join in branch.joins]
        then += _moves([(name, _assigned(held, join.inside)) for name, join in zip(names, branch.joins, strict=True)])
        otherwise += _moves(
            [(name, _assigned(held, join.outside)) for name, join in zip(names, branch.joins, strict=True)]
        )
        if not then:
            return [If(_negated(test), tuple(otherwise))]
        return [If(test, tuple(then), tuple(otherwise))]

    def _join_name(self, join: JoinItem, branch: BranchItem) -> str:
        """The name of what comes out of a branch: that of the value before it, if it isn't needed any more."""
        end = self.now + len(branch.then) + len(branch.otherwise) + 1
        before = self.names.get(join.outside)
        shared = sum(other.outside == join.outside for other in branch.joins) > 1
        is_free = join.outside not in self.lists and self.last[join.outside] <= end
        if before is not None and is_free and not shared:
            return before
        for item in (*branch.then, *branch.otherwise):
            if item.results in ((join.inside,), (join.outside,)) and item.names and item.names[0]:
                return item.names[0]
        return "x"


def _hint(repeat: Repeat, code: Code) -> str | None:
    """What torch's line calls a value of a turn."""
    number = VALUE
    for turn in repeat.turns:
        if isinstance(code, Inner) and number <= code.number < number + turn.width:
            return turn.names[code.number - number] if len(turn.names) == turn.width else None
        number += turn.width
    return None


def _names(codes: tuple[Code, ...]) -> list[Name]:
    return [code for code in codes if type(code) is Name]


def _intermediate(items: list[Item | BranchItem]) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    last: dict[object, tuple[int, ...]] = {}
    for item in items:
        for statement in (item,) if isinstance(item, Item) else (*item.then, *item.otherwise):
            key = (statement.source, statement.names)
            if statement.source is not None and key in last:
                found.add(last[key])
            last[key] = statement.results
    return found


def _moves(pairs: list[tuple[str, str]]) -> list[Line]:
    """Assignments that give each name its value; all at once where one's value is another's name."""
    pairs = [(name, value) for name, value in pairs if name != value]
    if not pairs:
        return []
    if {name for name, _ in pairs} & {value for _, value in pairs}:
        values = c.Sequence("tuple", tuple(Name(value) for _, value in pairs))
        return [Assign(tuple(name for name, _ in pairs), values)]
    return [Assign((name,), Name(value)) for name, value in pairs]


def _negated(test: Code) -> Code:
    match test:
        case Binary("is not", left, Literal(None)):
            return Binary("is", left, Literal(None))
        case Binary("is", left, Literal(None)):
            return Binary("is not", left, Literal(None))
        case c.Unary("not", operand):
            return operand
        case _:
            return c.Unary("not", test)


def _assigned(names: Mapping[int, str], value: int) -> str:
    """The name of a value.

    Raises:
        UnassignedError: nothing has computed it on this path.
    """
    if value not in names:
        raise UnassignedError(f"value {value}")
    return names[value]
