"""The lines of `call`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Comprehension, Literal, Name, Ref, Spread
from transpiler.outline.fewest_names import Draft, fewest_names
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, JoinItem, is_loop, joined_values
from transpiler.outline.local_names import LocalNames, assigned
from transpiler.outline.loops import Chain, Grow, NumberedMembers
from transpiler.outline.names import element_name, usable
from transpiler.outline.neighbours import Successors, intermediate, join_hint
from transpiler.outline.program import Assign, For, If, Line, Numbered, Return
from transpiler.outline.repeat import VALUE, Inner, Repeat
from transpiler.outline.repeat_lines import loop_parts, zipped
from transpiler.outline.telling_names import member_called, telling_name, unmoved
from transpiler.reserved import GATHERED
from transpiler.trees import member_of, names_in, refs, walk

_AFTER = 0.5
"""A value that a loop reads in every turn lives a little longer than the loop's line."""

_APPENDED = Literal(None)
"""Stands for what is in its list already."""


class BodyWriter(LocalNames):
    """Writes the lines of one `call`.

    Args:
        arguments: names of the arguments, as torch has them; they are the first values.
        lists: which of them are lists.
        items: statements, nested already.
        result: what is returned.
        taken: names that must not be shadowed.
        author: what torch's source calls things.
        held: values of statements that are lists.
    """

    def __init__(
        self,
        arguments: tuple[str, ...],
        lists: tuple[bool, ...],
        items: list[Item | BranchItem],
        result: Code,
        taken: frozenset[str],
        author: AuthorNames,
        held: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(taken, author, joined_values(items), Successors(items, result))
        self.items = items
        self.result = result
        self.lists = {value for value, is_list in enumerate(lists) if is_list} | held
        for value, name in enumerate(arguments):
            self.hold(value, usable(name, taken | self.holders.keys()))
        self.arguments = tuple(self.names[value] for value in range(len(arguments)))
        self.invented = {}
        self.into: dict[int, str] = {}
        """Lists that values are appended to as soon as they are made, by value."""
        self.carried = 0
        """How many values turns of loops have handed on; each has a number of its own, below 0."""
        self._find_last_uses()
        self.intermediate = intermediate(items)
        """Results of statements after which the same line of torch computes what it is about."""

    def lines(self) -> tuple[Line, ...]:
        """The lines of `call`."""
        statements = self._statements({})
        return (*statements, Return(self.named(self.result)))

    def turn_lines(self, left: tuple[Code, ...], lists: list[str], wish: dict[int, str]) -> tuple[Line, ...]:
        """The lines of a turn of a loop; at their end, all that it leaves, one by one.

        Args:
            left: what a turn leaves; first, what goes into lists.
            lists: names of these lists.
            wish: names that some values should bear.
        """
        left = self._append_early(left, lists)
        statements = self._statements(wish)
        return (*statements, Return(c.Sequence("tuple", tuple(map(self.named, left)))))

    def _statements(self, wish: dict[int, str]) -> list[Line]:
        written: list[Line] = []
        self.now = 0.0
        for item in self.items:
            if isinstance(item, BranchItem):
                written += self._branch(item)
            else:
                written += self._statement(item, wish)
        return written

    # ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _find_last_uses(self) -> None:
        for item in self.items:
            if isinstance(item, Item):
                self._read(item)
                continue
            for value in refs(item.test):
                self.last[value] = self.now + _AFTER
            for inner in (*item.then, *item.otherwise):
                self._read(inner)
            self.now += 1
            for join in item.joins:
                self.last[join.inside] = self.last[join.outside] = self.now
        self.now += 1
        for value in refs(self.result):
            self.last[value] = self.now

    def _read(self, item: Item) -> None:
        self.now += 1
        self.last |= _reads(item, self.now)
        self.last |= {value: self.now for value in item.results if value in self.into}

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _statement(self, item: Item, wish: dict[int, str] | None = None) -> list[Line]:
        lines = self._written(item, wish)
        self.in_branch.update(_assigned(lines))
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
        code = self.named(item.code)
        if (put := self._put(item, code)) is not None:
            return [put]
        if not any(result in self.last for result in item.results):
            is_member = isinstance(item.code, Call) and isinstance(item.code.function, c.Member)
            return [Assign((), code, item.comment)] if is_member else []
        hints = item.names if len(item.names) == len(item.results) else (None,) * len(item.results)
        targets = []
        for place, (result, hint) in enumerate(zip(item.results, hints, strict=True)):
            if result not in self.last:
                targets.append("_")
                continue
            wished = (wish or {}).get(result)
            otherwise = None if wished else member_called(item)
            targets.append(self.give(result, wished or self._wanted(item, place, hint), otherwise))
        appended = [_appended(self.into[one], Name(self.names[one])) for one in item.results if one in self.into]
        return [Assign(tuple(targets), code, item.comment), *appended]

    def _put(self, item: Item, code: Code) -> Line | None:
        """The line that puts a value into the list that torch gathers such values in."""
        if item.gathered is None or self.before_branch:
            return None
        (result,) = item.results
        if result not in self.last or result in self.joined:
            return None
        return self.grown(result, usable(item.gathered, self.taken), code, item.comment)

    def _wanted(self, item: Item, place: int, hint: str | None) -> str:
        """What torch's line calls a value; if it is not the line's last, or that is taken, what it is made from."""
        read = next(iter(refs(item.code)), None)
        dying = read is not None and len(item.results) == 1 and read not in self.lists and self.is_dead(read)
        before = self.names.get(read) if read is not None and dying else None
        gathered = hint in self.author.collections
        if hint is None or (item.results in self.intermediate and not gathered):
            return before or hint or self.successor(item.results[place]) or telling_name(item, place)
        name = usable(hint, self.taken)
        is_made = self.holders.get(name, 0) >= len(self.arguments)
        gives_way = self.second_name(name) is not None or (gathered and is_made and self.may_be_collected(name))
        return hint if self.is_free(name) or gives_way else before or hint

    def _chain(self, item: Item, loop: Chain) -> list[Line]:
        (result,) = item.results
        start = loop.arguments[0]
        lines: list[Line] = []
        before = self.named(start)
        if isinstance(start, Ref) and start.value in self.names and self.is_dead(start.value):
            name = self.names[start.value]
            self.hold(result, name)
        else:
            name = self.give(result, (item.names or (None,))[0] or "x")
            lines.append(Assign((name,), before))
        element = usable(self._element(member_of(loop).name), self.taken | self.live() | {name})
        arguments = tuple(self.named(part) for part in loop.arguments[1:])
        keywords = tuple((word, self.named(part)) for word, part in loop.keywords)
        call = Call(Name(element), (Name(name), *arguments), keywords)
        lines.append(For((element,), c.Member(member_of(loop).name), (Assign((name,), call),), item.comment))
        self.holders.pop(element, None)
        return lines

    def _element(self, name: str) -> str:
        """What to call an element of a list of members."""
        return self.author.loop_variables.get(name) or element_name(name, self.author.words)

    def _grow(self, item: Item, grow: Grow) -> list[Line]:
        (result,) = item.results
        members = member_of(grow)
        start = self.named(grow.arguments[0])
        read = {node.name for node in walk(start) if isinstance(node, Name)}
        name = self.give(result, usable("features", self.taken | read))
        live = self.live()
        element = usable(self._element(members.name), self.taken | live | {name})
        longer = c.Sequence("list", (Spread("list", (Name(name),)), Call(Name(element), (Name(name),))))
        body: tuple[Line, ...] = (Assign((name,), longer),)
        variable, iterable = element, c.Member(members.name)
        if isinstance(members, NumberedMembers):
            variable = usable("i", self.taken | live | {name, element})
            key = Numbered(variable, members.name, members.start)
            body = (Assign((element,), Call(Name("getattr"), (Name("self"), key))), *body)
            return [Assign((name,), start), For((variable,), Call(Name("range"), grow.arguments[1:]), body)]
        return [Assign((name,), start), For((variable,), iterable, body)]

    def _repeat(self, item: Item, repeat: Repeat) -> list[Line]:
        carried, before = self._carried(repeat)
        lists = item.results[repeat.lasts :]
        names = [self.give(value, wanted) for value, wanted in zip(lists, self._list_names(repeat), strict=True)]
        self.lists.update(lists)
        parts = loop_parts(repeat, self.named, self.author)  # now, since values may have given way to these names
        taken = (self.taken | (self.live() - self._taken_apart(repeat)) | set(names)) - set(carried)
        elements: list[str] = []
        for variable in parts.variables:  # what is handed on keeps its name, an element gives way
            elements.append(usable(variable, taken.union(carried, elements)))
        arguments = (*elements, *carried)
        wish = {code.value: name for code, name in zip(parts.handed, carried, strict=True) if isinstance(code, Ref)}

        def turn(draft: Draft) -> tuple[tuple[Line, ...], Mapping[int, str]]:
            inner = BodyWriter(arguments, (False,) * len(arguments), draft.items, draft.result, taken, self.author)
            left = draft.result.items if isinstance(draft.result, c.Sequence) else ()
            return inner.turn_lines(left, names, wish), inner.invented

        *body, last = fewest_names(Draft(parts.items, parts.result), turn)
        left = last.value.items if isinstance(last, Return) and isinstance(last.value, c.Sequence) else ()
        variables = tuple(
            "_" if variable == "_" else name for variable, name in zip(parts.variables, elements, strict=True)
        )
        iterable = zipped(parts.iterables)
        if not body and not carried and len(names) == len(left) == 1:
            return [Assign((names[0],), c.Sequence("list", (Comprehension("list", left, variables, iterable),)))]
        for name, code in zip(names, left, strict=False):
            before.append(Assign((name,), c.Sequence("list", ())))
            if code != _APPENDED:
                body.append(_appended(name, code))
        inside = {*variables, *carried, *_assigned(body)}
        body += self._after_turn(item, left[len(names) :], carried, inside)
        return [*before, For(variables, iterable, tuple(body))]

    def _append_early(self, left: tuple[Code, ...], lists: list[str]) -> tuple[Code, ...]:
        """Of what a turn leaves, put into its list what a statement makes as soon as it is made."""
        lines = (item for item in self.items if isinstance(item, Item) and not is_loop(item.code))
        made = {value for line in lines for value in line.results}
        codes = list(left)
        for place, name in enumerate(lists):
            code = codes[place]
            if isinstance(code, Ref) and code.value in made and code.value not in self.into:
                self.into[code.value] = name
                codes[place] = _APPENDED
        self.result = c.Sequence("tuple", tuple(codes))
        self.last = {}
        self.now = 0.0
        self._find_last_uses()
        return tuple(codes)

    def _taken_apart(self, repeat: Repeat) -> set[str]:
        """Names of values that only the display reads that a loop goes through: an element may bear them."""
        sources, _, *inner = repeat.parts()
        in_turns = {value for codes in inner for code in codes for value in refs(code)}
        displays = [source for source in sources if type(source) is c.Sequence]
        read = {value for display in displays for value in refs(display)} - in_turns
        ended = {value for value in read if self.last.get(value, 0.0) <= self.now + _AFTER}
        return {self.names[value] for value in ended if value in self.names}

    def _carried(self, repeat: Repeat) -> tuple[list[str], list[Line]]:
        """Names of what turns hand on, and the lines that give it its first value."""
        _, starts, _, handed, *_ = repeat.parts()
        names: list[str] = []
        before: list[Line] = []
        read = {start.value: self.last[start.value] for start in starts if isinstance(start, Ref)}
        self.last |= {value: max(last, self.now + _AFTER) for value, last in read.items()}  # until all are read
        for start, code in zip(starts, handed, strict=True):
            self.carried += 1
            own = -self.carried
            first = self.named(start)
            is_free = isinstance(start, Ref) and start.value not in self.lists and read[start.value] <= self.now
            if isinstance(first, Name) and is_free and self.holders.get(first.name, own) >= 0:
                self.hold(own, first.name)
            else:
                before.append(Assign((self.give(own, _hint(repeat, code) or "x"),), first))
            self.last[own] = self.now + _AFTER
            self.fixed.add(own)
            names.append(self.names[own])
        self.last |= read
        return names, before

    def _list_names(self, repeat: Repeat) -> list[str]:
        """What to call the lists of what every turn leaves: as torch's loop does that gathers such values."""
        collected = repeat.parts()[-1]
        if len(collected) == len(self.author.appended) == 1:
            return list(self.author.appended)
        return [self._list_name(_hint(repeat, code) or "y") for code in collected]

    def _list_name(self, hint: str) -> str:
        if hint.endswith(GATHERED):
            return hint.removesuffix(GATHERED)
        return self.author.collections.get(hint) or f"{hint.removesuffix('s')}s"

    def _after_turn(self, item: Item, left: tuple[Code, ...], carried: list[str], inside: set[str]) -> list[Line]:
        """What is read after the loop, and what the next turn is handed.

        Args:
            item: the loop.
            left: the last turn's values that are read after it, then what is handed on.
            carried: names of what is handed on.
            inside: all names that turns give.
        """
        lasts, handed = left[: len(left) - len(carried)], left[len(left) - len(carried) :]
        lines: list[Line] = []
        ends = dict(reversed(list(zip(handed, carried, strict=True))))
        for result, code in zip(item.results, lasts, strict=False):
            if code in ends:
                self.hold(result, ends[code])
            elif isinstance(code, Name) and code.name not in carried:
                self.hold(result, code.name)
            else:
                name = usable("y", self.taken | self.live() | inside)  # nothing gives way: turns read it
                self.hold(result, name)
                lines.append(Assign((name,), code))
        return lines + _moves(list(zip(carried, handed, strict=True)))

    def _branch(self, branch: BranchItem) -> list[Line]:
        self.before_branch = dict(self.names)
        self.in_branch = self.live()
        lines = self._branched(branch)
        self.before_branch = {}
        before, self.pending = self.pending, []
        return [*before, *lines]

    def _branched(self, branch: BranchItem) -> list[Line]:
        test = self.named(branch.test)
        wishes = {join.result: self._join_name(join, branch) for join in branch.joins}
        inside = {join.inside: wishes[join.result] for join in branch.joins}
        outside = {join.outside: wishes[join.result] for join in branch.joins}
        then = self._way(branch, branch.then, inside)
        apart = self.successors.on_one_way(branch)
        hidden = {name: value for name, value in self.holders.items() if value in apart}
        self.holders = {name: value for name, value in self.holders.items() if name not in hidden}
        otherwise = self._way(branch, branch.otherwise, outside)
        for name, value in hidden.items():  # where both ways bear it, it is needed as long as either needs it
            other = self.holders.setdefault(name, value)
            self.last[value] = self.last[other] = max(self.last.get(value, 0.0), self.last.get(other, 0.0))
        self.now += 1
        held = dict(self.names)
        self.holders = {name: value for name, value in self.holders.items() if not self.is_dead(value)}
        names = [self.give(join.result, wishes[join.result]) for join in branch.joins]
        joins = list(zip(names, branch.joins, strict=True))
        then += _moves([(name, Name(assigned(held, join.inside))) for name, join in joins])
        otherwise += _moves([(name, Name(assigned(held, join.outside))) for name, join in joins])
        if not then or (otherwise and isinstance(test, c.Unary)):
            return [If(_negated(test), tuple(otherwise), tuple(then))]
        return [If(test, tuple(then), tuple(otherwise))]

    def _way(self, branch: BranchItem, items: tuple[Item, ...], wishes: dict[int, str]) -> list[Line]:
        """One way through a branch: what only the other way reads is not needed on this one."""
        saved, holders = self.last, dict(self.holders)
        end = self.now + len(items) + (0 if items is branch.otherwise else len(branch.otherwise)) + 1
        read: dict[int, float] = {}
        for place, item in enumerate(items):
            read |= _reads(item, self.now + place + 1)
        self.last = {value: read.get(value, 0.0) if last <= end else last for value, last in saved.items()}
        self.last |= dict.fromkeys(wishes, end)
        lines = [line for item in items for line in self._statement(item, wishes)]
        self.last = saved
        # Names are as before the branch, but for those that have given way and those that are read after it.
        before = {name: value for name, value in holders.items() if self.names[value] == name}
        before |= {self.names[value]: value for name, value in holders.items() if self.names[value] != name}
        made = {name: value for name, value in self.holders.items() if value not in self.before_branch}
        self.holders = before | {name: value for name, value in made.items() if self.last.get(value, 0.0) > end}
        return lines

    def _moved(self, item: Item, end: float) -> str | None:
        """The name of the value that a statement only moves, if nothing needs it after `end`."""
        moved = unmoved(item.code)
        if not isinstance(moved, Ref) or self.last.get(moved.value, 0.0) > end:
            return None
        return self.names.get(moved.value)

    def _join_name(self, join: JoinItem, branch: BranchItem) -> str:
        """The name of what comes out of a branch: that of the value before it, if it isn't needed any more."""
        end = self.now + len(branch.then) + len(branch.otherwise) + 1
        before = self.names.get(join.outside)
        shared = sum(other.outside == join.outside for other in branch.joins) > 1
        is_free = join.outside not in self.lists and self.last[join.outside] <= end
        if before is not None and is_free and not shared:
            return before
        moved = [self._moved(item, end) for item in (*branch.then[-1:], *branch.otherwise[-1:])]
        if moved and moved[0] is not None and len(set(moved)) == 1 and len(branch.joins) == 1:
            return moved[0]
        inside = self.names.get(join.inside)
        if inside is not None and inside == before and max(self.last[join.inside], self.last[join.outside]) <= end:
            return inside
        return join_hint(join, branch, self.successors.hints) or "x"


def _appended(name: str, code: Code) -> Line:
    return Assign((), Call(c.Attribute(Name(name), "append"), (code,)))


def _reads(item: Item, now: float) -> dict[int, float]:
    """When the values that a statement reads are read last."""
    reads: dict[int, float] = dict.fromkeys(refs(item.code), now)
    in_turns: tuple[Code, ...] = ()
    if isinstance(item.code, Repeat):
        sources, _, codes, *_ = item.code.parts()
        in_turns = (*sources, *codes)
    if isinstance(item.code, Chain):
        in_turns = (*item.code.arguments[1:], *(value for _, value in item.code.keywords))
    return reads | {value: now + _AFTER for part in in_turns for value in refs(part)}


def _hint(repeat: Repeat, code: Code) -> str | None:
    """What torch's line calls a value of a turn; one that it gives no name is called as what it is another shape of."""
    number = VALUE
    for turn, made in zip(repeat.turns, repeat.parts()[2], strict=True):
        if isinstance(code, Inner) and number <= code.number < number + turn.width:
            name = turn.names[code.number - number] if len(turn.names) == turn.width else None
            return name or (_hint(repeat, unmoved(made)) if unmoved(made) is not made else None)
        number += turn.width
    return None


def _assigned(lines: Iterable[Line]) -> Iterator[str]:
    """What lines give names to, loops included."""
    for line in lines:
        if isinstance(line, Assign):
            yield from line.targets
        elif isinstance(line, For):
            yield from (*line.variables, *_assigned(line.body))


def _moves(pairs: list[tuple[str, Code]]) -> list[Line]:
    """Assignments that give each name its value; all at once where one's value reads another's name."""
    pairs = [(name, value) for name, value in pairs if value != Name(name)]
    if any(name in names_in(value) for name, _ in pairs for other, value in pairs if other != name):
        return [Assign(tuple(name for name, _ in pairs), c.Sequence("tuple", tuple(value for _, value in pairs)))]
    return [Assign((name,), value) for name, value in pairs]


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
