from __future__ import annotations

import ast
import dataclasses

import pytest

from tests.outline.programs import Draft, ops, program
from tests.outline.running import load
from tests.source_checks import check_source
from transpiler.code import Code
from transpiler.errors import InternalError
from transpiler.lowered import LoweredProgram, SourceLine
from transpiler.outline import outline
from transpiler.render import render
from transpiler.render.format import formatted

EVIL = 'x"""\nimport os\nos.abort()\n"""\\'


def small(comment: str = "", name: str = "Net", file: str = "model.py") -> LoweredProgram:
    draft = Draft("Net")
    draft.cls = dataclasses.replace(draft.cls, source=SourceLine(file, 3))
    x: Code = draft.argument("x", "n c")
    y = draft.do(ops("exp", x), "y", 10, comment)
    return program(draft.done(draft.do(ops("tanh", y), "y", 11)), (None, 4), name=name)


def test_header_names_rules_and_digest():
    source = render(outline(small()))
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None
    assert docstring.startswith("Net, channels last.")
    assert "`model.py:Net`" in docstring
    assert "`net.rules`" in docstring
    assert "sha256 0123abcd" in docstring.replace("\n", " ")


def test_header_without_rules():
    source = render(outline(dataclasses.replace(small(), rules_name="", digest="")))
    assert "sha256" not in source
    assert "kerascribe generate" not in source


@pytest.mark.parametrize("field", ["name", "model_name", "rules_name", "digest"])
def test_text_from_outside_stays_in_its_docstring(field):
    source = render(outline(dataclasses.replace(small(), **{field: EVIL})))
    assert not [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr == "abort"
    ]


def test_comments_and_file_names_from_outside_stay_on_their_line():
    source = render(outline(small(comment=EVIL, file=EVIL)))
    assert not [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr == "abort"
    ]
    assert "  # x" in source


def test_package_is_escaped():
    lowered = small()
    evil = dataclasses.replace(lowered, style=dataclasses.replace(lowered.style, package='a"b'))
    assert "package='a\"b'" in render(outline(evil))


def test_only_what_is_used_is_imported():
    source = render(outline(small()))
    check_source(source)
    imports = [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports == ["import keras", "from keras import layers, ops"]


def test_fixed_batch_and_dtype_of_inputs():
    lowered = small()
    item = dataclasses.replace(lowered.signature.inputs[0], dtype="int32", keras_shape=(2, 4))
    lowered = dataclasses.replace(lowered, signature=dataclasses.replace(lowered.signature, inputs=(item,)))
    source = render(outline(lowered))
    assert 'x = keras.Input((4,), batch_size=2, name="x", dtype="int32")' in source
    assert "def build_model():" in source


def test_input_shape_is_a_parameter():
    module = load(render(outline(small())), "generated_small")
    assert module.build_model((7,)).input_shape == (None, 7)


def test_formatter_refuses_what_is_no_python():
    with pytest.raises(InternalError, match="cannot be formatted"):
        formatted("def (", 120)
