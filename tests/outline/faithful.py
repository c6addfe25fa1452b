"""Proof that a merged flow runs, on every instance, what that instance ran by itself."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Rows

from transpiler.code import Code, Ref
from transpiler.outline.flow import Join, Merged, MergedStep
from transpiler.outline.forms import Form
from transpiler.trees import refs, shifted


def is_faithful(merged: Merged, forms: Rows[Form]) -> bool:
    """Whether the flow, followed on each instance, makes the statements and the result that the instance has.

    Args:
        merged: the flow of all instances.
        forms: the instances, all with the same arguments.
    """
    return all(_follows(merged, row, form) for row, form in enumerate(forms))


def _follows(merged: Merged, row: int, form: Form) -> bool:
    values: dict[int, int] = {value: value for value in range(len(form.arguments))}
    count = len(values)

    def own(code: Code) -> Code | None:
        """The code over the instance's values; None if the flow has not computed what it reads."""
        return shifted(code, lambda value: Ref(values[value])) if values.keys() >= set(refs(code)) else None

    steps = list(form.steps)
    for event in _events(merged, row):
        if isinstance(event, Join):
            source = event.inside if row in _rows(merged, event) else event.outside
            values |= {event.result: values[source]} if source in values else {}
            continue
        step = steps.pop(0) if steps else None
        if step is None or own(event.codes[event.rows.index(row)]) != step.code or step.width != len(event.results):
            return False
        values |= {result: count + offset for offset, result in enumerate(event.results)}
        count += step.width
    return not steps and own(merged.results[row]) == form.result


def _events(merged: Merged, row: int) -> Iterator[MergedStep | Join]:
    """What happens on an instance, in order."""
    for item in merged.items:
        if isinstance(item, MergedStep):
            yield item
            continue
        yield from item.then if row in item.rows else item.otherwise
        yield from item.joins


def _rows(merged: Merged, join: Join) -> tuple[int, ...]:
    return next(item.rows for item in merged.items if not isinstance(item, MergedStep) and join in item.joins)
