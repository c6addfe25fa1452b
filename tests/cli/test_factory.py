from __future__ import annotations

import sys

import pytest

from transpiler.errors import ModelError
from transpiler.factory import call_factory, load_factory

MODEL = """\
import helper_of_the_model


class Net:
    def __init__(self, width=1):
        self.width = helper_of_the_model.double(width)


number = 3
"""
HELPER = """\
def double(value):
    if value < 0:
        raise ValueError("width must be positive")
    return 2 * value
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "some_model.py").write_text(MODEL)
    (tmp_path / "helper_of_the_model.py").write_text(HELPER)
    before = dict(sys.modules), list(sys.path)
    yield tmp_path
    for name in sys.modules.keys() - before[0].keys():
        del sys.modules[name]
    assert sys.path == before[1]


def test_a_class_in_a_file_is_found_with_its_own_imports(folder):
    factory = load_factory("some_model.py:Net", folder)
    assert factory.__module__ == "some_model"
    assert sys.modules["some_model"].Net is factory
    assert call_factory(factory, {"width": 4}, "some_model.py:Net", folder).width == 8


def test_a_class_in_an_installed_package_is_found(folder):
    assert load_factory("collections:OrderedDict.fromkeys", folder)("a") == {"a": None}


def test_a_module_beside_the_rules_is_found_without_its_suffix(folder):
    assert load_factory("some_model:Net", folder)().width == 2


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("some_model.py", "'some_model.py' must be 'file.py:name' or 'package.module:name'"),
        ("none.py:Net", "none.py:Net: there is no file 'none.py' beside the rules"),
        ("some_model.py:Nat", "some_model.py:Nat: some_model.py has no 'Nat'\n  did you mean 'Net'?"),
        ("some_model.py:number", "some_model.py:number: 'number' is a int, nothing to call"),
        (
            "no_such_package.models:Net",
            "no_such_package.models:Net: cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
        ),
    ],
)
def test_a_reference_that_leads_nowhere(folder, reference, message):
    with pytest.raises(ModelError) as caught:
        load_factory(reference, folder)
    assert str(caught.value) == message


def test_a_factory_that_raises_shows_the_users_own_lines(folder):
    factory = load_factory("some_model.py:Net", folder)
    with pytest.raises(ModelError) as caught:
        call_factory(factory, {"width": -1}, "some_model.py:Net", folder)
    assert str(caught.value) == "\n".join(
        [
            "some_model.py:Net: raises ValueError: width must be positive",
            '  File "some_model.py", line 6, in __init__',
            "    self.width = helper_of_the_model.double(width)",
            '  File "helper_of_the_model.py", line 3, in double',
            '    raise ValueError("width must be positive")',
        ]
    )


def test_arguments_that_the_factory_does_not_take(folder):
    factory = load_factory("some_model.py:Net", folder)
    with pytest.raises(ModelError, match=r"^some_model.py:Net: raises TypeError: .*unexpected keyword argument 'nc'$"):
        call_factory(factory, {"nc": 80}, "some_model.py:Net", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import torch.nope\n",
            """broken.py:Net: cannot be imported: ModuleNotFoundError: No module named 'torch.nope'
  File "broken.py", line 1, in <module>
    import torch.nope""",
        ),
        (
            "x = 1\nclass Net(:\n",
            """broken.py:Net: cannot be imported: SyntaxError: invalid syntax (broken.py, line 2)
  File "broken.py", line 2
    class Net(:""",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_shows_its_line_and_leaves_no_module(folder, text, message):
    (folder / "broken.py").write_text(text)
    with pytest.raises(ModelError) as caught:
        load_factory("broken.py:Net", folder)
    assert str(caught.value) == message
    assert "broken" not in sys.modules
