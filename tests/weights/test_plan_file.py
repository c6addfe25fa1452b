from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from transpiler.errors import CheckpointError
from transpiler.weights.plan import Dropped, PlanEntry, Tied, WeightPlan
from transpiler.weights.plan_file import constant_value, parse_plan, plan_path, plan_text, read_plan, write_plan

GRID = np.arange(6, dtype=np.int64).reshape(2, 3)
PLAN = WeightPlan(
    "SlimNeck",
    (
        PlanEntry(("b.kernel",), "b.weight", "o i h w -> h w i o", (), (4, 3, 5, 7), "float32", ((5, 7, 3, 4),)),
        PlanEntry(("a.q", "a.k"), "a.in", "(t h) -> t h", (("t", 2),), (6,), "bfloat16", ((3,), (3,))),
        PlanEntry(
            ("grid",), "grid", "a b -> a b", (), (2, 3), "int64", ((2, 3),), base64.b64encode(GRID.tobytes()).decode()
        ),
    ),
    (Dropped("bn.num_batches_tracked", 'Keras counts no "batches"'),),
    (Tied("head.weight", "b.weight"),),
)
TEXT = """\
{
  "schema": 1,
  "model": "SlimNeck",
  "entries": [
    {"variables": ["b.kernel"], "source": "b.weight", "pattern": "o i h w -> h w i o", \
"source_shape": [4, 3, 5, 7], "dtype": "float32", "shapes": [[5, 7, 3, 4]]},
    {"variables": ["a.q", "a.k"], "source": "a.in", "pattern": "(t h) -> t h", \
"source_shape": [6], "dtype": "bfloat16", "shapes": [[3], [3]], "sizes": {"t": 2}},
    {"variables": ["grid"], "source": "grid", "pattern": "a b -> a b", \
"source_shape": [2, 3], "dtype": "int64", "shapes": [[2, 3]], \
"constant": "AAAAAAAAAAABAAAAAAAAAAIAAAAAAAAAAwAAAAAAAAAEAAAAAAAAAAUAAAAAAAAA"}
  ],
  "tied": [
    {"key": "head.weight", "source": "b.weight"}
  ],
  "dropped": [
    {"source": "bn.num_batches_tracked", "reason": "Keras counts no \\"batches\\""}
  ]
}
"""


def test_the_text_has_one_entry_a_line_in_the_order_of_the_model():
    assert plan_text(PLAN) == TEXT


def test_what_is_written_is_read_back(tmp_path):
    path = plan_path(tmp_path / "tf.py")
    write_plan(path, PLAN)
    assert path.name == "tf.weights.json"
    assert path.read_bytes() == TEXT.encode()
    assert read_plan(path) == PLAN


def test_a_constant_keeps_its_values():
    np.testing.assert_array_equal(constant_value(PLAN.entries[2]), GRID)


def changed(**fields):
    document = json.loads(TEXT)
    document["entries"][0] |= fields
    return json.dumps(document)


HINT = "don't edit it; write it anew with `kerascribe generate`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tf.weights.json: not a weight plan: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "tf.weights.json: not a weight plan: it is nested too deeply"),
        ("[]", "tf.weights.json: not a weight plan: it names no schema"),
        ('{"schema": 2}', "tf.weights.json: weight plan of schema 2; this kerascribe reads schema 1"),
        ('{"schema": 1}', "tf.weights.json: not a weight plan: it lacks model, entries, tied, dropped"),
        (
            '{"schema": 1, "model": 3, "entries": [], "tied": [], "dropped": []}',
            "tf.weights.json: not a weight plan: its model is not a name",
        ),
        (
            '{"schema": 1, "model": "a", "entries": 1, "tied": [], "dropped": []}',
            "tf.weights.json: entries: must be a list",
        ),
        (changed(colour="red"), "tf.weights.json: entries[0]: unknown field 'colour'"),
        (
            changed(variables=[]),
            "tf.weights.json: entries[0]: 'variables' and 'shapes' must be of one length, at least 1",
        ),
        (changed(variables="b.kernel"), "tf.weights.json: entries[0]: 'variables' must be a list"),
        (changed(variables=["a.q"]), "tf.weights.json: variable 'a.q' stands in two entries"),
        (changed(source=None), "tf.weights.json: entries[0]: 'source' must be a string"),
        (changed(dtype="object"), "tf.weights.json: entries[0]: unknown dtype 'object'"),
        (
            changed(source_shape=[4, 3, 5, True]),
            "tf.weights.json: entries[0]: 'source_shape' must hold sizes, not True",
        ),
        (changed(source_shape=[4, 3, 5, -7]), "tf.weights.json: entries[0]: 'source_shape' must hold sizes, not -7"),
        (changed(constant="!"), "tf.weights.json: entries[0]: the constant is not base64"),
        (changed(constant="AAAA"), "tf.weights.json: entries[0]: the constant has 3 bytes, 1680 are needed"),
    ],
)
def test_a_bad_plan_is_one_clear_message(tmp_path, text, message):
    path = tmp_path / "tf.weights.json"
    path.write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_plan(path)
    assert str(caught.value) == f"{message}\n  {HINT}"


def test_all_bad_entries_are_listed():
    document = json.loads(TEXT)
    document["entries"][0]["dtype"] = "x"
    document["entries"][1]["pattern"] = "t h"
    document["tied"][0] = 3
    with pytest.raises(CheckpointError) as caught:
        parse_plan(json.dumps(document))
    assert [(problem.where, problem.message) for problem in caught.value.diagnostics] == [
        ("plan: entries[0]", "unknown dtype 'x'"),
        ("plan: entries[1]", "pattern 't h' needs one '->'"),
        ("plan: tied[0]", "must be an object"),
    ]


def test_a_missing_plan_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        read_plan(tmp_path / "tf.weights.json")
    hint = "write it with `kerascribe generate`"
    assert str(caught.value) == f"tf.weights.json: there is no such weight plan\n  {hint}"
