"""Lines of `call` from statements: what is nested, what gets which name."""

from __future__ import annotations

import pytest

from transpiler.code import (
    Binary,
    Call,
    Code,
    Conditional,
    Function,
    Index,
    Literal,
    Member,
    Name,
    Ref,
    Sequence,
    Slice,
)
from transpiler.lowered import SourceLine
from transpiler.outline.call_body import call_body
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, JoinItem
from transpiler.outline.program import Assign, For, If, Line, Return
from transpiler.render.expressions import text


def run(member: str, value: int) -> Call:
    return Call(Member(member), (Ref(value),))


def step(results: int | tuple[int, ...], code: Code, name: str | None = None, line: int = 0, comment: str = "") -> Item:
    results = results if isinstance(results, tuple) else (results,)
    return Item(results, code, (name,) * len(results), SourceLine("m.py", line) if line else None, comment)


def shown(
    items: list[Item | BranchItem], result: Code, forward: str, members: tuple[str, ...] = ("a", "b", "c")
) -> str:
    author = AuthorNames.of(forward, members, arguments=["x"])
    return "\n".join(_shown(call_body((("x", False),), items, result, frozenset(), author).lines))


def _shown(lines: tuple[Line, ...], indent: str = "") -> list[str]:
    found: list[str] = []
    for line in lines:
        match line:
            case Assign(targets, value, comment):
                left = f"{', '.join(targets)} = " if targets else ""
                found.append(f"{indent}{left}{text(value)}" + (f"  # {comment}" if comment else ""))
            case Return(value):
                found.append(f"{indent}return {text(value)}")
            case If(test, then, otherwise):
                found += [f"{indent}if {text(test)}:", *_shown(then, f"{indent}  ")]
                found += [f"{indent}else:", *_shown(otherwise, f"{indent}  ")] if otherwise else []
            case For():
                raise AssertionError(line)
    return found


def test_a_value_without_a_name_of_the_authors_is_nested() -> None:
    items: list[Item | BranchItem] = [
        step(1, run("a", 0), "x", 1),
        step(2, run("b", 1), "x", 2, "n h w c -> n c h w"),
        step(3, Binary("+", Ref(0), Ref(2)), "x", 3),
    ]
    assert shown(items, Ref(3), "def forward(self, x):\n    x = x + f(x)\n    return x") == (
        "x = x + self.b(self.a(x))  # n h w c -> n c h w\nreturn x"
    )


def test_a_value_that_is_read_twice_keeps_a_variable() -> None:
    items: list[Item | BranchItem] = [step(1, run("a", 0), "x", 1), step(2, Binary("*", Ref(1), Ref(1)), "x", 2)]
    result = Binary("+", Ref(0), Ref(2))
    assert shown(items, result, "def forward(self, x): ...").startswith("x_2 = self.a(x)\n")


def test_without_a_source_nothing_is_nested_for_its_name() -> None:
    items: list[Item | BranchItem] = [step(1, run("a", 0), "x", 1), step(2, Binary("+", Ref(0), Ref(1)), "x", 2)]
    assert shown(items, Ref(2), "") == "x_2 = self.a(x)\nx = x + x_2\nreturn x"
    assert shown(items, Ref(2), "x") == "x = x + self.a(x)\nreturn x"


def test_a_size_without_a_name_is_read_where_it_is_needed() -> None:
    size = 1 << 20
    shape = Call(Function("keras.ops.shape"), (Ref(0),))
    sizes = Item((size + 1, size + 2), Index(shape, (Slice(Literal(1), Literal(3)),)), ("h", "w"), None)
    resize = Call(Function("keras.ops.image.resize"), (Ref(1), Sequence("list", (Ref(size + 1), Ref(size + 2)))))
    items: list[Item | BranchItem] = [sizes, step(1, run("a", 0), "y", 1), step(2, resize, "y", 2)]
    assert shown(items, Ref(2), "def forward(self, x):\n    y = self.a(x)") == (
        "y = self.a(x)\ny = ops.image.resize(y, ops.shape(x)[1:3])\nreturn y"
    )
    named = "def forward(self, x):\n    h, w = sizes(x)"
    assert shown(items, Ref(2), f"{named}\n    y = self.a(x)").startswith("h, w = ops.shape(x)[1:3]\n")


@pytest.mark.parametrize("whole", [True, False])
def test_results_under_one_name_are_a_list(whole: bool) -> None:
    split = Call(Function("keras.ops.split"), (Ref(0), Literal(2)))
    values = (Ref(1), Ref(2)) if whole else (Ref(1), Ref(1))
    joined = Call(Function("keras.ops.concatenate"), (Sequence("list", values),))
    expected = "parts" if whole else "[parts[0], parts[0]]"
    assert shown([step((1, 2), split, "parts", 1)], joined, "parts = f(x)") == (
        f"parts = ops.split(x, 2)\nreturn ops.concatenate({expected})"
    )


def test_each_way_through_a_branch_may_use_the_same_names() -> None:
    halves = Call(Function("keras.ops.split"), (Ref(0), Literal(2)))
    branch = BranchItem(
        Name("self.a"),
        (step(1, run("a", 0), "out", 1),),
        (Item((2, 3), halves, ("out", "x"), SourceLine("m.py", 2)),),
        (JoinItem(4, 1, 2), JoinItem(5, 0, 3)),
    )
    result = Call(Function("keras.ops.concatenate"), (Sequence("list", (Ref(4), run("b", 5))),))
    assert shown([branch], result, "out, x") == (
        "if self.a:\n  out = self.a(x)\nelse:\n  out, x = ops.split(x, 2)\nreturn ops.concatenate([out, self.b(x)])"
    )


def test_what_one_way_computes_and_a_later_branch_reads_keeps_its_name() -> None:
    """Two branches of which each instance takes one: the first one's value is the second one's other way."""
    moved = step(7, run("d", 0), "x", 1, "n c -> c n")
    first = BranchItem(Name("self.p"), (moved, step(1, run("a", 7), "x", 1)), (), (JoinItem(2, 1, 0),))
    attended = step(3, run("b", 2), "y", 2)
    second = BranchItem(Name("self.q"), (step(4, run("c", 3), "y", 3),), (), (JoinItem(5, 4, 3), JoinItem(6, 0, 1)))
    lines = shown([first, attended, second], Binary("+", Ref(6), Ref(5)), "x y")
    values = {
        "self.d": lambda v: f"d({v})",
        "self.a": lambda v: f"a({v})",
        "self.b": lambda v: f"b({v})",
        "self.c": lambda v: f"c({v})",
    }
    for p in (True, False):
        scope = {"x": "x"}
        code = lines.replace("return ", "result = ")
        for name in values:
            code = code.replace(name, name.replace("self.", "f_"))
        code = code.replace("self.p", str(p)).replace("self.q", str(not p))
        functions = {name.replace("self.", "f_"): function for name, function in values.items()}
        exec(code, functions, scope)  # noqa: S102 — running what was written is the test
        assert scope["result"] == ("a(d(x))" + "b(a(d(x)))" if p else "x" + "c(b(x))")


def test_all_results_of_an_operation_are_read_without_a_name() -> None:
    grid = Call(Function("keras.ops.meshgrid"), (Ref(0), Ref(0)))
    stacked = Call(Function("keras.ops.stack"), (Sequence("list", (Ref(1), Ref(2))),))
    items: list[Item | BranchItem] = [step((1, 2), grid), step(3, stacked, "delta")]
    assert shown(items, Ref(3), "delta = f(x)") == "delta = ops.stack(ops.meshgrid(x, x))\nreturn delta"


def test_a_value_whose_name_is_taken_is_called_as_the_member_that_makes_it() -> None:
    items: list[Item | BranchItem] = [step(1, run("attn", 0), "x", 1), step(2, Binary("*", Ref(1), Ref(1)), "x", 2)]
    result = Binary("+", Ref(0), Ref(2))
    assert shown(items, result, "x = x + self.attn(x)").startswith("attn = self.attn(x)\n")


def test_a_value_that_a_branch_may_change_is_called_as_what_comes_out_of_it() -> None:
    then = (step(2, run("b", 1), "parts", 2), step(3, run("c", 2), "parts", 3, "c h -> h c"))
    branch = BranchItem(Name("self.p"), then, (), (JoinItem(4, 3, 1),))
    items: list[Item | BranchItem] = [step(1, run("a", 0), "x", 1), branch, step(5, Binary("*", Ref(4), Ref(4)), "y")]
    assert shown(items, Binary("+", Ref(0), Ref(5)), "x parts y").startswith("parts = self.a(x)\nif self.p:\n  parts =")


def test_what_reads_sizes_is_nested_as_what_reads_names() -> None:
    def size(axis: int) -> Code:
        return Index(Call(Function("keras.ops.shape"), (Ref(0),)), (Literal(axis),))

    rows = Sequence("tuple", (Literal(-1), Binary("*", size(1), Binary("*", size(2), size(3))), Literal(4)))
    token = Call(Function("keras.ops.broadcast_to"), (Name("self.c"), Sequence("tuple", (size(0), Literal(1)))))
    joined = Call(Function("keras.ops.concatenate"), (Sequence("list", (token, Ref(1))),))
    items: list[Item | BranchItem] = [step(1, Call(Function("keras.ops.reshape"), (Ref(0), rows)), "x", 1)]
    assert "x_2" not in shown([*items, step(2, joined, "x", 2)], Ref(2), "x = cat(token, x)")


def test_a_short_call_that_both_ways_need_has_no_name() -> None:
    items: list[Item | BranchItem] = [step(1, run("stack", 0), None, 1)]
    either = Conditional(Name("self.shortcut"), Binary("+", Ref(1), Ref(0)), Ref(1))
    assert shown(items, either, "return self.layers(x)") == (
        "return self.stack(x) + x if self.shortcut else self.stack(x)"
    )


def test_a_sum_that_is_moved_is_a_line_of_its_own_where_what_it_adds_is_moved_too() -> None:
    total = Call(Function("keras.ops.transpose"), (Binary("+", Ref(0), Ref(1)),))
    flipped = Call(Function("keras.ops.transpose"), (Ref(0),))
    items: list[Item | BranchItem] = [step(1, flipped, "x", 1, "h w -> w h"), step(2, total, "x", 1, "w h -> h w")]
    assert shown(items, Ref(2), "x = x + f(x)") == (
        "x = x + ops.transpose(x)  # h w -> w h\nx = ops.transpose(x)  # w h -> h w\nreturn x"
    )


def test_a_value_is_read_before_its_name_goes_to_another_one() -> None:
    source = "ctx out"
    items: list[Item | BranchItem] = [
        step(1, run("a", 0), "ctx", 1),
        step(2, Binary("*", Ref(1), Ref(1)), "out", 2),
        step(3, run("b", 1), "ctx", 1),
        step(4, Binary("+", Ref(2), Ref(3)), "out", 2),
    ]
    assert shown(items, Ref(4), source) == (
        "ctx = self.a(x)\nout = ctx * ctx\nctx = self.b(ctx)\nout = out + ctx\nreturn out"
    )


def test_values_that_torch_gathers_are_elements_of_a_list() -> None:
    forward = "def forward(self, x):\n    for m in ms:\n        y = m(x)\n        ys.append(y)\n    return cat(ys)"
    items: list[Item | BranchItem] = []
    for place in range(3):
        items += [step(2 * place + 1, run("abc"[place], 0), "y", 1)]
        items += [step(2 * place + 2, run("d", 2 * place + 1), "y", 1, "h w -> w h")]
    joined = Call(Function("keras.ops.concatenate"), (Sequence("list", (Ref(2), Ref(4), Ref(6))),))
    assert shown(items, joined, forward).endswith("return ops.concatenate([*ys, y])")


def test_ways_through_branches_that_ask_the_same_share_names() -> None:
    """What only one way makes and reads may be called as what only the other one does."""
    halves = Call(Function("keras.ops.split"), (Ref(0), Literal(2)))
    first = BranchItem(
        Name("self.p"), (Item((1, 2), halves, ("q", "k"), None),), (step(3, run("a", 0)), step(4, run("b", 0))), ()
    )
    moved = [Call(Function("keras.ops.reshape"), (Ref(value), Literal(4))) for value in (1, 2)]
    second = BranchItem(
        Name("self.p"),
        tuple(step(5 + place, code, "x", 1) for place, code in enumerate(moved)),
        (),
        (JoinItem(7, 5, 3), JoinItem(8, 6, 4)),
    )
    items: list[Item | BranchItem] = [first, step(9, Binary("*", Ref(0), Ref(0)), "x"), second]
    result = Binary("+", Binary("*", Ref(7), Ref(8)), Ref(9))
    assert shown(items, result, "x q k").splitlines() == [
        "if self.p:",
        "  q, k = ops.split(x, 2)",
        "else:",
        "  q = self.a(x)",
        "  k = self.b(x)",
        "x = x * x",
        "if self.p:",
        "  q = ops.reshape(q, 4)",
        "  k = ops.reshape(k, 4)",
        "return q * k + x",
    ]


def test_of_values_made_side_by_side_only_what_is_read_is_made() -> None:
    both = Sequence("tuple", (run("a", 0), run("b", 0)))
    assert shown([step((1, 2), both)], Binary("+", Ref(0), Ref(1)), "x") == "return x + self.a(x)"
