"""What a plan says of what is dropped, and of the source it belongs to."""

from __future__ import annotations

import json

import pytest

from transpiler.errors import CheckpointError
from transpiler.weights.plan import Dropped, WeightPlan
from transpiler.weights.plan_file import parse_plan, plan_text
from transpiler.weights.same_run import digest, require_pair

PLAN = WeightPlan(
    "Net",
    (),
    (Dropped("bn.num_batches_tracked", "counts", (), "int64"), Dropped("spare.weight", "no output", (3, 4), "float16")),
    (),
    digest(["import keras\n"]),
)


def test_the_plan_is_read_as_it_was_written():
    assert parse_plan(plan_text(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float31"}, "unknown dtype 'float31'"),
        ({"dtype": None}, "'dtype' must be a string"),
        ({"shape": [-1]}, "'shape' must hold sizes, not -1"),
        ({"shape": "3"}, "'shape' must be a list"),
        ({"size": 3}, "unknown field 'size'"),
    ],
)
def test_what_is_said_of_dropped_tensors_is_checked(change, message):
    document = json.loads(plan_text(PLAN))
    document["dropped"][1] |= change
    with pytest.raises(CheckpointError, match=rf"^plan: dropped\[1\]: {message}"):
        parse_plan(json.dumps(document))


def test_a_source_of_another_run_is_refused(tmp_path):
    source = tmp_path / "tf.py"
    require_pair(PLAN, tmp_path / "tf.weights.json", source)  # that there is none is for others to tell
    source.write_text("import keras\n")
    require_pair(PLAN, tmp_path / "tf.weights.json", source)
    source.write_text("import keras  # changed\n")
    with pytest.raises(CheckpointError, match=r"^tf.weights.json: does not belong to tf.py: "):
        require_pair(PLAN, tmp_path / "tf.weights.json", source)
    require_pair(WeightPlan("Net", (), ()), tmp_path / "tf.weights.json", source)  # an older plan says nothing
