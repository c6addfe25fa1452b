"""Syntax errors in words: what was expected, what was found, and what people usually meant.

`MISTAKES` is errors by example: each snippet leads the parser to a state and a token, and any error in the same state
with the same token gets the snippet's message. What no example covers is described from what the parser would accept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from lark import Lark, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from transpiler.language.expression_builder import Source
from transpiler.language.problems import Problem
from transpiler.language.syntax import Position

Key: TypeAlias = tuple[str, frozenset[str], object]

SPELLINGS: tuple[tuple[str, str, str], ...] = (
    (
        "->",
        "'->' is not an arrow of this language",
        "a rule's arrow is '=>', a weight's '<-'; '->' stands in patterns",
    ),
    ("&&", "'&&' is not an operator", "write 'and'"),
    ("||", "'||' is not an operator", "write 'or'"),
    ("<>", "'<>' is not an operator", "write '!='"),
    (":=", "':=' is not an operator", "arguments are given with '='"),
    ("!", "'!' is not an operator", "write 'not'"),
    (";", "';' does not belong here", "clauses need nothing between them"),
    ("//", "'//' does not begin a comment", "comments begin with '#'"),
)
"""What is written where it cannot stand, whatever the parser expected."""

MISTAKES: tuple[tuple[str, str, str], ...] = (
    ("op a.b(x) when x = 1", "'=' gives an argument its value", "write '==' to compare"),
    ("op a.b(x) when (x = 1", "'=' gives an argument its value", "write '==' to compare"),
    ("op a.b(x) when f(x == 1 = 2", "'=' gives an argument its value", "write '==' to compare"),
    ("module a.B when x: ", "':' does not belong here", "the rule goes on with '=>' or 'when'"),
    ("module a.B:", "':' does not belong here", "the rule goes on with '=>' or 'when'"),
    ("op a.b(x):", "':' does not belong here", "the rule goes on with '=>' or 'when'"),
    ("module a.B = ", "a rule's arrow is '=>'", ""),
    ("op a.b(x) = ", "a rule's arrow is '=>'", ""),
    ("op a.b =>", "an operator rule needs its parameters", "as in: op aten.relu(x) => keras.ops.relu(x)"),
    ("op a.b when", "an operator rule needs its parameters", "as in: op aten.relu(x) => keras.ops.relu(x)"),
    (
        "module a.B(",
        "a module rule has no parameters",
        "names are attributes of the module: guard them with 'when'",
    ),
    ("module a.B keras", "the arrow '=>' is missing", ""),
    ("op a.b(x) keras", "the arrow '=>' is missing", ""),
    ("module a.B => => ", "a second '=>' in a row", ""),
    ("module a.B => f(a for", "there are no comprehensions in rules", ""),
    ("module a.B => [a for", "there are no comprehensions in rules", ""),
    ("module a.B => f(a b", "a comma is missing between two arguments", ""),
    ("module a.B => f(a = b c", "a comma is missing between two arguments", ""),
    ("module a.B => f(a 1", "a comma is missing between two arguments", ""),
    ('module a.B => f(a "b"', "a comma is missing between two arguments", ""),
    ("module a.B => f(*", "arguments cannot be unpacked with '*'", "write them one by one"),
    ("module a.B => f(a, *", "arguments cannot be unpacked with '*'", "write them one by one"),
    ("module a.B => f(**", "arguments cannot be unpacked with '**'", "write them one by one"),
    ("module a.B => f(a, **", "arguments cannot be unpacked with '**'", "write them one by one"),
    ("module a.B => template x", "a template's file stands in quotes", 'as in: template "gsconv.py.jinja"'),
    ("module a.B => view n", "a view is a verb with arguments or a pattern in quotes", "as in: view permute(dims)"),
    ("module a.B => view reads", "a view is a verb with arguments or a pattern in quotes", "as in: view permute(dims)"),
    ("module a.B reads x n", "a pattern stands in quotes", 'as in: reads x "n c ... -> n ... c"'),
    ('module a.B reads "n"', "'reads' names the operand first", 'as in: reads x "n c ... -> n ... c"'),
    ("module a.B writes n", "a pattern stands in quotes", 'as in: writes "n c ... -> n ... c"'),
    ("module a.B weights kernel", "the entries of 'weights' stand in braces", "as in: weights { kernel <- weight }"),
    ("module a.B weights { kernel = ", "a weight's arrow is '<-'", "as in: kernel <- weight"),
    ("module a.B weights { kernel =>", "a weight's arrow is '<-'", "as in: kernel <- weight"),
    ("module a.B weights { kernel:", "a weight's arrow is '<-'", "as in: kernel <- weight"),
    ("module a.B weights { kernel <- weight,", "entries of 'weights' need no comma between them", ""),
    ('module a.B weights { kernel <- weight "a -> a",', "entries of 'weights' need no comma between them", ""),
    ("module a.B weights { kernel }", "this variable has no '<-'", "as in: kernel <- weight"),
    ("module a.B weights { drop x }", "'drop' needs a reason in quotes", 'as in: drop steps "only counts batches"'),
    ("module a.B drop x =>", "'drop' needs a reason in quotes", 'as in: drop steps "only counts batches"'),
    ("module a.B drop x", "'drop' needs a reason in quotes", 'as in: drop steps "only counts batches"'),
    ("module a.B drop x.y", "'drop' needs a reason in quotes", 'as in: drop steps "only counts batches"'),
    ("module a.B drop x reads", "'drop' needs a reason in quotes", 'as in: drop steps "only counts batches"'),
    ("module a.B ignores =>", "'ignores' names constructor parameters", "as in: ignores inplace"),
    ('module a.B ignores "a"', "'ignores' takes names without quotes", "as in: ignores inplace"),
    ("module a.B calls f", "'calls' begins with the operands in parentheses", "as in: calls (q, k) => self(q, k)"),
    ("module a.B example f(1) (2", "an input is a dtype with sizes in brackets", "as in: float32[2, 8, 13, 17]"),
    ("module =>", "'module' needs the name of a class", "as in: module torch.nn.ReLU => keras.layers.ReLU()"),
    ('module "a"', "the name of a class stands without quotes", "as in: module torch.nn.ReLU"),
    ('op "a"', "the name of an operator stands without quotes", "as in: op aten.relu(x)"),
    ("use", "'use' needs a pack or a file in quotes", 'as in: use torch.nn, or use "mine.rules"'),
    ("model x", "the model's factory stands in quotes", 'as in: model "model.py:SlimNeck" { … }'),
    ('model "a" (1', "a model's arguments are given by name", "as in: (nc = 80)"),
    ('model "a" (a,', "a model's arguments are given by name", "as in: (nc = 80)"),
    (
        'model "a" { input x (',
        "an input is a dtype with sizes in brackets",
        "as in: input x float32[batch, 3, 224, 8]",
    ),
    (
        'model "a" { input x:',
        "an input is a dtype with sizes in brackets",
        "as in: input x float32[batch, 3, 224, 8]",
    ),
    ('model "a" { weights =', "settings of a model have no '='", 'as in: weights "slimneck.safetensors"'),
    ('model "a" { output =', "settings of a model have no '='", 'as in: output "tf.py"'),
    ('model "a" { weights {', "a model's weights are a file in quotes", 'as in: weights "slimneck.safetensors"'),
    ('model "a" { style { prefix "a"', "a style entry needs '='", 'as in: prefix = "TF"'),
    ('model "a" { style { prefix:', "a style entry needs '='", 'as in: prefix = "TF"'),
    ("import", "rules import nothing", 'write: use torch.nn, or use "mine.rules"'),
    ("from", "rules import nothing", 'write: use torch.nn, or use "mine.rules"'),
)
"""Snippet with a mistake at its end, message, hint."""

_NAMED = {
    "NAME": "a name",
    "STRING": "a string in quotes",
    "INT": "a whole number",
    "ELLIPSIS": "'...'",
    "$END": "the end of the file",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "COMMA": "','",
    "STAR": "'*'",
    "COLON": "':'",
}
_FOREIGN = {"for", "from", "import", "lambda", "def", "class", "let"}
_EXPRESSION = {"NAME", "STRING", "INT", "FLOAT", "LPAR", "LSQB", "PLUS", "MINUS"}
_OPERATORS = {"PLUS", "MINUS", "SLASH", "DOUBLE_SLASH", "PERCENT", "DOUBLE_STAR", "AND", "OR", "IN", "IS", "IF"}
_CLAUSES = {"WHEN", "CALLS", "READS", "WRITES", "POINTWISE", "WEIGHTS", "DROP", "IGNORES", "EXAMPLE"}
_STATEMENTS = {"USE", "MODEL", "MODULE", "OP"}


def explain(error: UnexpectedInput, source: Source, parser: Lark) -> Problem:
    """Says in words what is wrong at a syntax error.

    Args:
        error: as Lark raised it for `source`.
        source: the text that was parsed.
        parser: to parse the examples with.
    """
    text = "\n".join(source.lines)
    offset, position = _place(error, source, text)
    if text[offset : offset + 1] in ("'", '"') and isinstance(error, UnexpectedCharacters):
        return Problem("this string is never closed", position, "strings end on the line they begin on")
    if offset and text.startswith("=>", offset - 1):
        return Problem("the arrow '=>' cannot stand here", position, "is a parenthesis before it still open?")
    for wrong, message, hint in SPELLINGS:
        if text.startswith(wrong, offset) or (len(wrong) > 1 and offset and text.startswith(wrong, offset - 1)):
            return Problem(message, position, hint)
    if "ELSE" in _accepted(error):
        return Problem("a conditional expression needs 'else'", position, "as in: a if test else b")
    if text.startswith("{", offset) and "NAME" in _accepted(error):
        return Problem("'{' does not belong here", position, "alternatives are parts of names, as in Conv{1,2,3}d")
    known = _examples(parser).get(_key(error))
    if known is not None:
        message, hint = known
        return Problem(message, position, hint)
    return Problem(f"expected {_expected(error, parser)}, found {_found(error, text, offset)}", position)


@lru_cache(maxsize=1)
def _examples(parser: Lark) -> dict[Key, tuple[str, str]]:
    found: dict[Key, tuple[str, str]] = {}
    for snippet, message, hint in MISTAKES:
        try:
            parser.parse(snippet)
        except UnexpectedInput as error:
            found.setdefault(_key(error), (message, hint))
    return found


def _key(error: UnexpectedInput) -> Key:
    """What was found, what the parser would have accepted instead, and its state.

    After an expression there are many states; what is accepted tells the bracket or clause that the expression is in.
    """
    found = error.char if isinstance(error, UnexpectedCharacters) else ""
    if isinstance(error, UnexpectedToken):
        found = str(error.token) if str(error.token) in _FOREIGN else error.token.type
    accepted = _accepted(error)
    state = None if accepted >= _OPERATORS or accepted >= _CLAUSES else _state(error)
    return found, accepted, state


def _state(error: UnexpectedInput) -> object:
    return error.interactive_parser.parser_state.position


def _accepted(error: UnexpectedInput) -> frozenset[str]:
    interactive = error.interactive_parser  # Lark's LALR parser sets it on both kinds of error
    return frozenset(interactive.accepts())  # type: ignore[no-untyped-call]


def _place(error: UnexpectedInput, source: Source, text: str) -> tuple[int, Position]:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        return error.token.start_pos or 0, source.position(error.token)
    if not isinstance(error, UnexpectedToken):
        offset = sum(len(line) + 1 for line in source.lines[: error.line - 1]) + error.column - 1
        return offset, Position(source.file, error.line + source.line_offset, error.column, error.column + 1)
    # The end borrows the place of the last token: point behind that, not at blank lines and comments below it.
    line, column = (error.token.end_line or 1) + source.line_offset, error.token.end_column or 1
    return len(text), Position(source.file, line, column, column + 1)


def _expected(error: UnexpectedInput, parser: Lark) -> str:
    accepted = set(_accepted(error))
    if "COMMA" in accepted:  # `name` may become `name = …`: not what is missing
        accepted.discard("EQUAL")
    words: list[str] = []
    if accepted >= _EXPRESSION:
        words.append("an expression")
        accepted -= _EXPRESSION | {"NOT"}
    if accepted >= _OPERATORS:  # after an expression: that it may go on with an operator goes without saying
        accepted = {name for name in accepted - _OPERATORS if not name.startswith("__")}
        accepted -= {"LPAR", "LSQB", "STAR", "DOT", "NOT", "LESSTHAN", "MORETHAN"}
    if accepted >= _CLAUSES:
        words.append("a clause of the rule (when, =>, reads, weights, …)")
        accepted = {name for name in accepted - _CLAUSES if not name.startswith("__")}
    if accepted >= _STATEMENTS:
        words.append("the next rule" if words else "use, model, module or op")
        accepted -= _STATEMENTS | {"$END"}
    words.extend(sorted(_NAMED.get(name) or f"'{parser.get_terminal(name).pattern.value}'" for name in accepted))
    if len(words) > 1:
        return f"{', '.join(words[:-1])} or {words[-1]}"
    return words[0] if words else "nothing more"


def _found(error: UnexpectedInput, text: str, offset: int) -> str:
    if isinstance(error, UnexpectedToken):
        return "the end" if error.token.type == "$END" else f"'{error.token}'"
    return f"'{text[offset : offset + 1]}'"
