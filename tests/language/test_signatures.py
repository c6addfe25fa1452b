import inspect

import pytest

from transpiler.language import signatures
from transpiler.language.signatures import OPAQUE, REQUIRED, function, layer


def test_layers_and_their_variables():
    conv = layer("keras.layers.Conv2D")
    assert conv.variables == conv.attributes == ("kernel", "bias")
    assert conv.parameter("strides").default == (1, 1)
    assert conv.parameter("filters").default is REQUIRED
    assert [parameter.name for parameter in conv.positional()][:2] == ["filters", "kernel_size"]
    assert conv.parameter("name").keyword_only
    assert layer("keras.layers.BatchNormalization").variables == ("gamma", "beta", "moving_mean", "moving_variance")
    assert layer("keras.layers.DepthwiseConv2D").variables == ("kernel", "bias")
    assert layer("keras.layers.Embedding").variables == ("embeddings",)
    assert layer("keras.layers.ReLU").variables == ()


def test_variables_of_inner_layers_have_two_names():
    attention = layer("keras.layers.MultiHeadAttention")
    assert attention.variables[0] == "query.kernel"
    assert attention.attributes[0] == "query_dense.kernel"


def test_functions():
    assert [parameter.name for parameter in function("keras.ops.concatenate").parameters] == ["xs", "axis"]
    assert function("keras.ops.image.resize").parameter("interpolation").default == "bilinear"
    assert function("keras.activations.gelu").parameter("approximate").default is False
    assert function("keras.ops.nothing") is None
    assert layer("keras.layers.Nothing") is None
    assert layer("keras.ops.concatenate") is None


def test_keras_is_not_imported():
    import subprocess
    import sys

    code = (
        "import sys; from transpiler.language.signatures import layer; assert layer('keras.layers.Dense');"
        "from transpiler.language.loader import load_rules; load_rules(None);"
        "print([name for name in ('keras', 'tensorflow', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_table_is_that_of_the_installed_keras():
    keras = pytest.importorskip("keras")
    if keras.__version__ != signatures.keras_version():
        pytest.skip(f"the table was made from Keras {signatures.keras_version()}: run scripts/keras_signatures.py")
    for name in signatures.names():
        known = layer(name) or function(name)
        member = keras
        for part in name.split(".")[1:]:
            member = getattr(member, part)
        try:
            parameters = inspect.signature(member).parameters
        except (TypeError, ValueError):
            continue
        for parameter in known.parameters:
            if parameter.name not in parameters or parameter.default in (REQUIRED, OPAQUE):
                continue
            assert parameters[parameter.name].default == parameter.default, (name, parameter)
