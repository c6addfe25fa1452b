"""Match: every call finds its rule, or all that have none are reported at once."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.errors import Diagnostic, ModelError
from transpiler.language.book import RuleBook
from transpiler.lift.complex_pairs import is_complex
from transpiler.lift.program import Block, BlockCall, OpCall, Program, Value, output_values
from transpiler.match.index import RuleIndex
from transpiler.match.program import MatchedBlock, MatchedLayer, MatchedOp, MatchedProgram, MatchedStatement

_SHOWN = 20
_COMPLEX = "complex tensors are ported as pairs of real ones, and this operator has no form on pairs: use real tensors"


class NoRuleError(ModelError):
    """Calls of operators that no rule serves, each with the block that it stands in."""

    def __init__(self, calls: Sequence[tuple[Block, OpCall]]) -> None:
        super().__init__(_report(calls))
        self.calls = tuple(calls)

    @property
    def operators(self) -> frozenset[str]:
        """Their names."""
        return frozenset(call.name for _, call in self.calls)

    def still_in(self, later: NoRuleError) -> NoRuleError:
        """Without those that were decomposed into operators that have rules, as `later` tells by their lines."""
        places = {(block.path, call.source) for block, call in later.calls}
        left = [(block, call) for block, call in self.calls if (block.path, call.source) in places]
        return NoRuleError(left) if left else self


def match(program: Program, book: RuleBook) -> MatchedProgram:
    """Attach a rule to every call.

    Raises:
        NoRuleError: operators without a rule, each with its module path, torch line and a rule skeleton to paste.
    """
    matcher = _Matcher(RuleIndex(book))
    statements = matcher.statements(program.root)
    if matcher.missing:
        raise NoRuleError(matcher.missing)
    return MatchedProgram(program.root, statements, program.inputs, program.dropped, program.tied)


class _Matcher:
    def __init__(self, index: RuleIndex) -> None:
        self.index = index
        self.missing: list[tuple[Block, OpCall]] = []

    def statements(self, block: Block) -> tuple[MatchedStatement, ...]:
        matched = (self._statement(block, statement) for statement in block.statements)
        return tuple(statement for statement in matched if statement is not None)

    def _statement(self, block: Block, statement: BlockCall | OpCall) -> MatchedStatement | None:
        if isinstance(statement, BlockCall):
            rule = self.index.module_rule(statement.block)
            if rule is not None:
                return MatchedLayer(statement, rule)
            return MatchedBlock(statement, self.statements(statement.block))
        found = None if _is_complex(statement) else self.index.operator_rule(statement)
        if found is None:
            if statement.results:
                self.missing.append((block, statement))
            return None
        return MatchedOp(statement, *found)


def _is_complex(call: OpCall) -> bool:
    """Rules serve real tensors; lift leaves complex ones only to operators that it has no form for."""
    return any(is_complex(value) for value in (*call.results, *output_values(list(call.arguments.values()))))


def _report(missing: Sequence[tuple[Block, OpCall]]) -> list[Diagnostic]:
    """One diagnostic for each operator and setting, with the first place where it occurs and a count."""
    groups: dict[str, list[tuple[Block, OpCall]]] = {}
    for block, call in missing:
        groups.setdefault(f"{call.name} {_settings(call)}", []).append((block, call))
    problems = [_diagnostic(calls) for calls in list(groups.values())[:_SHOWN]]
    if len(groups) > _SHOWN:
        problems.append(Diagnostic(f"and {len(groups) - _SHOWN} operators more without a rule"))
    return problems


def _diagnostic(calls: list[tuple[Block, OpCall]]) -> Diagnostic:
    block, call = calls[0]
    times = f", {len(calls)} calls in all" if len(calls) > 1 else ""
    path = block.path or "the model"
    line = f" ({call.source})" if call.source else ""
    return Diagnostic(
        f"no rule for {call.name}{_settings(call)}{times}",
        where=f"{path}, {block.cls.name}{line}",
        hint=_COMPLEX if _is_complex(call) else f"add a rule: {skeleton(call)}",
    )


def _settings(call: OpCall) -> str:
    plain = {name: value for name, value in call.arguments.items() if not _has_tensor(value)}
    text = ", ".join(f"{name}={value!r}" for name, value in plain.items())
    return f" with {text}" if text else ""


def _has_tensor(value: object) -> bool:
    return isinstance(value, Value) or (isinstance(value, list) and any(_has_tensor(item) for item in value))


def skeleton(call: OpCall) -> str:
    """A rule to fill in, with the schema's own parameters.

    `op aten.cumprod(self, dim) => keras.ops.…`
    """
    parameters = []
    starred = False
    for argument in call.operator._schema.arguments:
        if argument.kwarg_only and not starred:
            parameters.append("*")
            starred = True
        default = f" = {_literal(argument.default_value)}" if argument.has_default_value() else ""
        parameters.append(argument.name + default)
    return f"op {call.name.removesuffix('.default')}({', '.join(parameters)}) => keras.ops.…"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
