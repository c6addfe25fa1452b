"""The signature of a generated class and the locals of its `__init__`: those of torch's that are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from transpiler.code import Code, Literal, Name
from transpiler.lowered import Basic, Constructor, Opaque
from transpiler.outline.names import LAYER_KEYWORDS, usable
from transpiler.outline.program import REQUIRED, Assign, For, If, Line, Parameter, Required
from transpiler.outline.settings import Settings
from transpiler.outline.walk_lines import code_in, flat
from transpiler.trees import code_of, names_in, transform, with_names


def needed_definitions(settings: Settings, used: Collection[str]) -> list[tuple[str, Code]]:
    """Locals and attributes of torch's constructor that the lines need, in its order."""
    needed = set(used)
    aliases = _aliases(settings)
    definitions = {
        name: transform(code, lambda node: aliases.get(node.name) if type(node) is Name else None)
        for name, code in settings.scope.definitions.items()
    }
    for name, code in reversed(definitions.items()):
        if name in needed:
            needed.update(names_in(code))
    return [(name, code) for name, code in definitions.items() if name in needed]


def _aliases(settings: Settings) -> dict[str, Name]:
    """`self.stride = stride` that `call` does not read."""
    return {
        name: code
        for name, code in settings.scope.definitions.items()
        if type(code) is Name and name not in settings.read and code.name in settings.scope.arguments
    }


def without_aliases(settings: Settings, line: Line) -> Line:
    """The line with arguments instead of attributes that only repeat them."""
    return renamed(line, {name: code.name for name, code in _aliases(settings).items()})


def used_names(lines: Iterable[Line], read: Iterable[str]) -> set[str]:
    """Every name that the lines mention, and those in `read`."""
    return {*read, *(name for line in flat(lines) for name in names_in(code_in(line)))}


def parameters_of(settings: Settings, used: Collection[str]) -> tuple[list[Parameter], list[dict[str, Code]]]:
    """The parameters, torch's in torch's order, and their values on each instance."""
    scope = settings.scope
    required: list[Parameter] = []
    optional: list[Parameter] = []
    columns: dict[str, dict[int, Code]] = {}
    for name in scope.names:
        column = _column(settings, name)
        if name not in used or column is None:
            continue
        columns[name] = column
        default: Basic | Opaque | Required = scope.defaults.get(name, REQUIRED)
        if name in scope.presence:
            default = False if default is None else REQUIRED
        if isinstance(default, Opaque | Required):
            required.append(Parameter(name))
        else:
            optional.append(Parameter(name, default))
    for name, values in settings.extras.items():
        if name not in used:
            continue
        columns[name] = _codes(values)
        if name in settings.defaults:
            columns[name] = _codes({row: values.get(row, settings.defaults[name]) for row in settings.rows})
            optional.append(Parameter(name, settings.defaults[name]))
        elif len(values) < len(settings.rows):
            optional.append(Parameter(name, None))
        elif all(isinstance(value, bool) for value in values.values()):
            optional.append(Parameter(name, default=False))
        else:
            required.append(Parameter(name))
    parameters = [*required, *optional]
    absent = Literal(None)
    rows = [{item.name: columns[item.name].get(row, absent) for item in parameters} for row in settings.rows]
    return parameters, rows


def _column(settings: Settings, name: str) -> dict[int, Code] | None:
    """What each instance is given for a parameter of torch's; None if that is nothing that Keras can be given."""
    scope = settings.scope
    if name in settings.handed:
        return settings.handed[name]
    if name in scope.presence:
        return _codes(dict(enumerate(scope.presence[name])))
    return _codes(dict(enumerate(scope.arguments[name]))) if name in scope.arguments else None


def _codes(values: Mapping[int, Basic]) -> dict[int, Code]:
    return {row: code_of(value) for row, value in values.items()}


def positional_count(settings: Settings, parameters: list[Parameter], constructors: list[Constructor]) -> int:
    """How many leading parameters torch's callers give by position, too."""
    given = max((constructor.positional for constructor in constructors), default=0)
    scope = settings.scope
    by_position = scope.order[:given]
    count = 0
    last = -1
    for parameter in parameters:
        if parameter.name not in by_position:
            break
        place = by_position.index(parameter.name)
        skipped = [name for name in by_position[last + 1 : place] if name in scope.defaults]
        if place < last or skipped:
            break
        count, last = count + 1, place
    return count


def renames_for(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Parameters and locals whose torch names cannot be used in a Keras layer, and their new names."""
    own = [name for name in names if not name.startswith("self.")]
    renames: dict[str, str] = {}
    for name in own:
        last = name.rpartition(".")[2]
        good = usable(name if last in {*own, *taken, *renames.values()} else last, ())
        good = f"{good}_" if good in LAYER_KEYWORDS or good in taken else good
        if good != name:
            renames[name] = usable(good, {*own, *renames.values()})
    return renames


def renamed(line: Line, renames: Mapping[str, str]) -> Line:
    """The line with other names."""

    def all_renamed(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(renamed(inner, renames) for inner in lines)

    match line:
        case Assign(targets, value, comment):
            return Assign(tuple(renames.get(name, name) for name in targets), with_names(value, renames), comment)
        case If(test, then, otherwise):
            return If(with_names(test, renames), all_renamed(then), all_renamed(otherwise))
        case For(variables, iterable, body, comment):
            return For(variables, with_names(iterable, renames), all_renamed(body), comment)
        case _:
            return line


def joined(lines: Iterable[Line]) -> list[Line]:
    """Neighbouring `if`s that ask the same are one."""
    result: list[Line] = []
    for line in lines:
        last = result[-1] if result else None
        if isinstance(line, If) and isinstance(last, If) and line.test == last.test:
            result[-1] = If(line.test, (*last.then, *line.then), (*last.otherwise, *line.otherwise))
        else:
            result.append(line)
    return result
