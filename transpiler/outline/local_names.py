"""Names for the values of `call`.

A value takes the name that the torch line gave it. A name is used again only when the value that held it is dead. A
value that is still needed gives way: it takes a second name that torch's source has for it, or goes into a list there.
"""

from __future__ import annotations

from collections.abc import Mapping

from transpiler import code as c
from transpiler.code import Call, Code, Comprehension, Index, Literal, Name, Ref, Spread
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.names import usable
from transpiler.outline.neighbours import Successors
from transpiler.outline.program import Assign, Line
from transpiler.trees import refs, transform, walk

_WORTH_A_STAR = {"list": 1, "tuple": 2}
"""Elements of a list from which a display of them names the list."""


class UnassignedError(Exception):
    """A value is read on a path that does not compute it: these instances are too different for one class."""


class LocalNames:
    """Which name each value bears, up to the line that is being written.

    Args:
        taken: names that must not be shadowed.
        author: what torch's source calls things.
        joined: values that branches end with.
        successors: what becomes of values.
    """

    def __init__(
        self, taken: frozenset[str], author: AuthorNames, joined: frozenset[int], successors: Successors
    ) -> None:
        self.taken = taken
        self.author = author
        self.joined = joined
        self.successors = successors
        self.names: dict[int, str] = {}
        self.holders: dict[str, int] = {}
        """Values by their names, the latest of each name."""
        self.elements: dict[int, Code] = {}
        """What stands for values that are elements of lists."""
        self.collected: dict[str, list[int]] = {}
        """Values that are the elements of a list, by its name."""
        self.invented: dict[int, str] = {}
        """Values whose names are not in torch's source."""
        self.lists: set[int] = set()
        """Values that are lists."""
        self.last: dict[int, float] = {}
        """When each value is read last."""
        self.now = 0.0
        self.fixed: set[int] = set()
        """Values that keep their names: the turns of a loop hand them on under these."""
        self.pending: list[Line] = []
        """Lines that must stand before the one that is being written."""
        self.before_branch: dict[int, str] = {}
        """Within a branch, the names of the values that were there before it."""
        self.in_branch: set[str] = set()
        """Names given within the branch, and those that are read in it or later: in front of it they are not free."""

    def is_dead(self, value: int) -> bool:
        return self.last.get(value, 0.0) <= self.now

    def hold(self, value: int, name: str) -> None:
        self.names[value] = name
        self.holders[name] = value
        self.in_branch.add(name)
        self.collected.pop(name, None)
        if self.author.words and name not in self.author.words:
            self.invented[value] = name

    def is_free(self, name: str) -> bool:
        holder = self.holders.get(name)
        elements = self.collected.get(name, ())
        return (
            name not in self.taken
            and (holder is None or self.is_dead(holder))
            and all(self.is_dead(value) for value in elements)
        )

    def is_free_before(self, name: str) -> bool:
        """Whether a line in front of the one that is being written may give the name to something else."""
        bearers = (self.holders.get(name), *self.collected.get(name, ()))
        return self.is_free(name) and all(one is None or self.last.get(one, 0.0) < self.now for one in bearers)

    def live(self) -> set[str]:
        names = {name for name, holder in self.holders.items() if not self.is_dead(holder)}
        return names | {name for name, elements in self.collected.items() if not all(map(self.is_dead, elements))}

    def give(self, value: int, wanted: str, otherwise: str | None = None) -> str:
        """Name a value.

        Args:
            value: that has been computed.
            wanted: what it should be called.
            otherwise: what it may be called if something else is called so, provided that the author knows the word.
        """
        name = usable(wanted, self.taken)
        if not self.is_free(name):
            self.give_way(name)
        if not self.is_free(name):
            name = self.successor(value) or self.known(otherwise) or usable(wanted, self.taken | self.live())
        self.hold(value, name)
        return name

    def known(self, name: str | None) -> str | None:
        """The name, if the author knows the word and nothing bears it."""
        if name is None or name not in self.author.words or usable(name, ()) != name:
            return None
        return name if self.is_free(name) else None

    def successor(self, value: int) -> str | None:
        """The name of what is made of a value, where nothing else is."""
        names = (usable(name, self.taken) for name in self.successors.names(value))
        return next((name for name in names if self.is_free(name)), None)

    def give_way(self, name: str) -> None:
        """Go on with a value under the second name that torch gives it, so that its first one is free."""
        holder = self.holders.get(name)
        if holder is None or not self.may_give_way(name):
            return
        second = self.second_name(name)
        if second is None:
            self.collect(holder, name)
            return
        self.pending.append(Assign((second,), Name(name)))
        del self.holders[name]
        if self.before_branch:
            self.before_branch[holder] = second
        self.hold(holder, second)

    def may_give_way(self, name: str) -> bool:
        holder = self.holders.get(name)
        if holder is None or holder in self.fixed:
            return False
        return not self.before_branch or self.before_branch.get(holder) == name

    def second_name(self, name: str) -> str | None:
        """Another name for what bears this one."""
        if not self.may_give_way(name):
            return None
        seconds = (usable(other, self.taken) for other in self.author.aliases.get(name, ()))
        barred = self.in_branch if self.before_branch else set[str]()
        return next((other for other in seconds if self.is_free_before(other) and other not in barred), None)

    def may_be_collected(self, name: str) -> bool:
        """Whether what bears this name may be an element of a list instead."""
        holder = self.holders.get(name)
        is_single = holder is not None and holder not in self.joined | self.lists
        return is_single and not self.before_branch and self.may_give_way(name)

    def collect(self, value: int, name: str) -> None:
        """Keep a value in the list that torch gathers such values in."""
        gathered = self.author.collections.get(name)
        if gathered is None or not self.may_be_collected(name):
            return
        gathered = usable(gathered, self.taken | {name})
        if self.is_free_before(gathered):
            self.pending.append(self._begun(value, gathered, Name(name)))
        elif gathered in self.collected:
            self.pending.append(self._longer(value, gathered, Name(name)))
        else:
            return
        del self.holders[name], self.names[value]
        self.invented.pop(value, None)

    def name_of(self, value: int) -> str:
        return assigned(self.names, value)

    def named(self, code: Code) -> Code:
        """The expression over names instead of values."""

        def change(node: Code) -> Code | None:
            match node:
                case Ref(value):
                    return self.elements.get(value) or Name(self.name_of(value))
                case Comprehension():
                    return self.comprehension(node)
                case c.Sequence() if type(node) is c.Sequence and (shorter := self.with_lists(node)) != node:
                    return self.named(shorter)
                case _:
                    return None

        return transform(code, change)

    def with_lists(self, display: c.Sequence) -> Code:
        """A display of all elements of a list as the list."""
        for name, elements in self.collected.items():
            values: tuple[Code, ...] = tuple(Ref(value) for value in elements)
            count = len(values)
            if count < _WORTH_A_STAR[display.kind]:
                continue
            at = next((at for at in range(len(display.items)) if display.items[at : at + count] == values), None)
            if at is not None:
                whole = Name(name)
                if display.kind == "list" and count == len(display.items):
                    return whole
                items = (*display.items[:at], Spread("list", (whole,)), *display.items[at + count :])
                return c.Sequence(display.kind, items)
        return display

    def comprehension(self, code: Comprehension) -> Code:
        """Its own variables must not hide what it reads."""
        read = {self.name_of(value) for value in refs(code) if value not in self.elements} | self.taken
        read |= self.collected.keys()
        called = {node.function for item in code.items for node in walk(item) if isinstance(node, Call)}
        members = next((node.name for node in walk(code.iterable) if isinstance(node, c.Member)), "")
        renames = {
            name: usable(self.author.loop_variables.get(members, name) if Name(name) in called else name, read)
            for name in code.variables
            if name != "_"
        }

        def change(node: Code) -> Code | None:
            if isinstance(node, Ref):
                return self.elements.get(node.value) or Name(self.name_of(node.value))
            return Name(renames[node.name]) if isinstance(node, Name) and node.name in renames else None

        items = tuple(transform(item, change) for item in code.items)
        variables = tuple(renames.get(name, name) for name in code.variables)
        return Comprehension(code.kind, items, variables, self.named(code.iterable))

    def grown(self, value: int, name: str, code: Code, comment: str = "") -> Line | None:
        """A list of this name with a value behind its others; None if something else has the name."""
        if not all(map(self.is_dead, self.collected.get(name, ()))):
            return self._longer(value, name, code, comment)
        return self._begun(value, name, code, comment) if self.is_free(name) else None

    def _begun(self, value: int, name: str, code: Code, comment: str = "") -> Line:
        self.collected[name] = [value]
        self.elements[value] = Index(Name(name), (Literal(0),))
        return Assign((name,), c.Sequence("list", (code,)), comment)

    def _longer(self, value: int, name: str, code: Code, comment: str = "") -> Line:
        elements = self.collected[name]
        self.elements[value] = Index(Name(name), (Literal(len(elements)),))
        elements.append(value)
        return Assign((), Call(Name(f"{name}.append"), (code,)), comment)


def assigned(names: Mapping[int, str], value: int) -> str:
    """The name of a value.

    Raises:
        UnassignedError: nothing has computed it on this path.
    """
    if value not in names:
        raise UnassignedError(f"value {value}")
    return names[value]
