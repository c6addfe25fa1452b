"""Convolutions that choose their padding alike are told once."""

from __future__ import annotations

import pytest

from transpiler.code import Binary, Call, Code, Comprehension, Conditional, Function, Literal, Name, Sequence
from transpiler.outline.program import Assign
from transpiler.render.expressions import text
from transpiler.render.padding_once import padding_once

CHOICE = Conditional(Binary("==", Name("stride"), Literal(1)), Literal("same"), Literal("valid"))


def conv(filters: str, padding: Code = CHOICE) -> Call:
    return Call(Function("keras.layers.Conv2D"), (Name(filters), Literal(3)), (("padding", padding),))


def chain(*items: Code) -> Assign:
    return Assign(("self.chain",), Call(Function("keras.Sequential"), (Sequence("list", items),)))


def test_the_padding_is_chosen_before_the_layers_are_made() -> None:
    ((chosen, rest),) = padding_once(chain(conv("c"), conv("d"), conv("e", Literal("same"))), ())
    assert (chosen.targets, text(chosen.value)) == (("conv_padding",), '"same" if stride == 1 else "valid"')
    assert text(rest.value) == (
        "keras.Sequential([layers.Conv2D(c, 3, padding=conv_padding), layers.Conv2D(d, 3, padding=conv_padding), "
        'layers.Conv2D(e, 3, padding="same")])'
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(chain(conv("c")), id="it is written once"),
        pytest.param(chain(conv("c"), conv("d", Conditional(Name("a"), Name("b"), Literal("same")))), id="they differ"),
        pytest.param(chain(conv("conv_padding"), conv("d")), id="the name is taken"),
        pytest.param(
            chain(Comprehension("list", (conv("c"), conv("d")), ("stride",), Name("strides"))),
            id="it differs from turn to turn",
        ),
    ],
)
def test_what_stays_where_it_is(line: Assign) -> None:
    assert list(padding_once(line, ())) == []


def test_a_name_that_is_needed_later_stays_what_it_is() -> None:
    assert list(padding_once(chain(conv("c"), conv("d")), (Assign(("self.p",), Name("conv_padding")),))) == []
