"""What must hold for any generated source, checked on its syntax tree and with ruff."""

from __future__ import annotations

import ast
import subprocess
import sys

ALLOWED_IMPORTS = {"keras", "numpy"}
"""Top-level packages that generated source may import: it stands alone."""


def check_source(source: str) -> None:
    """All checks of this module at once.

    >>> check_source("import keras\n\nbody = keras.Sequential([keras.layers.ReLU()])\n")
    """
    check_imports(source)
    check_sequentials(source)
    check_no_lambda_layer(source)
    check_ruff(source)


def check_imports(source: str) -> None:
    """The source imports nothing but Keras and numpy."""
    foreign = imported_packages(source) - ALLOWED_IMPORTS
    assert not foreign, f"generated source imports {', '.join(sorted(foreign))}"


def imported_packages(source: str) -> set[str]:
    """Top-level packages of every import, wherever it stands.

    >>> sorted(imported_packages("import keras\\nfrom torch.nn import Linear"))
    ['keras', 'torch']
    """
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add("." if node.level else (node.module or "").partition(".")[0])
    return packages


def check_sequentials(source: str) -> None:
    """Every Sequential is built from exactly one positional argument, a list.

    torch's takes the layers as arguments; in Keras the second argument is the model's name, and the mistake shows far
    away from its cause.
    """
    for call in sequential_calls(source):
        takes_one_list = len(call.args) == 1 and isinstance(call.args[0], (ast.List, ast.ListComp))
        assert takes_one_list, f"line {call.lineno}: {ast.unparse(call)} must have one argument, a list"


def sequential_calls(source: str) -> list[ast.Call]:
    """Calls of `Sequential`, under whatever dotted name.

    >>> [ast.unparse(call) for call in sequential_calls("keras.Sequential([a, b])(x)")]
    ['keras.Sequential([a, b])']
    """
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if called_name(call) == "Sequential"]


def called_name(call: ast.Call) -> str:
    """The last part of the name that is called, "" for a call of an expression."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def check_no_lambda_layer(source: str) -> None:
    """No Lambda layer: Keras cannot save one safely."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if called_name(call) == "Lambda"]
    assert not lines, f"Lambda layers at lines {lines}"


def check_ruff(source: str, name: str = "tf.py", line_length: int = 120) -> None:
    """Ruff's default rules find nothing, and its formatter, at this line length, would change nothing."""
    for command in (["check"], ["format", "--diff", "--preview", "--line-length", str(line_length)]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", "--stdin-filename", name, "-"],
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"ruff {' '.join(command)}:\n{done.stdout}{done.stderr}"


def classes(source: str) -> dict[str, ast.ClassDef]:
    """The classes of the source, by name."""
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def method(cls: ast.ClassDef, name: str) -> ast.FunctionDef:
    """A method of a class.

    Raises:
        LookupError: if the class has none of that name.
    """
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise LookupError(f"{cls.name} has no method {name}")


def attributes(cls: ast.ClassDef) -> set[str]:
    """Names that `__init__` and `build` assign on `self`."""
    return {
        target.attr
        for node in ast.walk(cls)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    }
