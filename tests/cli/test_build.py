from __future__ import annotations

import traceback
import warnings

import numpy as np
import pytest

from transpiler.build import build_from_file, build_from_source
from transpiler.errors import InternalError, ModelError

SOURCE = """\
import keras


@keras.saving.register_keras_serializable(package="build_test")
class Scale(keras.layers.Layer):
    def call(self, x):
        return x * {factor}


def build_model():
    x = keras.Input((3,))
    return keras.Model(x, Scale()(x))
"""


def test_two_versions_of_one_model_stand_side_by_side_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = build_from_source(SOURCE.format(factor=2), "Net")
        second = build_from_source(SOURCE.format(factor=3), "Net")
    x = np.ones((1, 3), np.float32)
    assert np.asarray(first(x)).tolist() == [[2, 2, 2]]
    assert np.asarray(second(x)).tolist() == [[3, 3, 3]]


def test_a_source_that_does_not_run_is_our_mistake_and_shows_its_line():
    with pytest.raises(
        InternalError, match=r"^the generated source of Net does not run: NameError: .*'nope'"
    ) as caught:
        build_from_source(SOURCE.format(factor=2) + "\n\nnope()\n", "Net")
    assert any("    nope()" in line for line in traceback.format_exception(caught.value.__cause__))


def test_a_source_without_a_model_is_our_mistake():
    with pytest.raises(InternalError, match=r"TypeError: build_model\(\) returns a int, no keras.Model$"):
        build_from_source("def build_model():\n    return 3\n", "Net")


def test_a_file_of_the_user_is_built_from_its_path(tmp_path):
    (tmp_path / "tf.py").write_text(SOURCE.format(factor=5))
    model = build_from_file(tmp_path / "tf.py")
    assert np.asarray(model(np.ones((1, 3), np.float32))).tolist() == [[5, 5, 5]]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "tf.py cannot be read"), ("(", "the generated source of tf does not")]
)
def test_a_file_that_cannot_be_built_is_the_users_to_mend(tmp_path, text, message):
    if text is not None:
        (tmp_path / "tf.py").write_text(text)
    with pytest.raises(ModelError, match=f"^{message}"):
        build_from_file(tmp_path / "tf.py")
