"""TFLite, in four precisions, from an exported SavedModel.

>>> made = convert(Path("tf.saved_model"), "tflite-dynamic", None, silent)  # doctest: +SKIP
>>> Path("tf.dynamic.tflite").write_bytes(made.content)  # doctest: +SKIP
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from transpiler.artefacts.samples import Samples
from transpiler.errors import Diagnostic, ModelError
from transpiler.progress import Track
from transpiler.quiet import quiet


@dataclass(frozen=True, slots=True)
class Converted:
    content: bytes
    foreign: tuple[str, ...]
    """TensorFlow operators that TFLite does not have itself: the interpreter needs the Flex delegate for them."""


def convert(exported: Path, precision: str, samples: Samples | None, track: Track) -> Converted:
    """The model in the SavedModel `exported`, as the bytes of a `.tflite` file.

    Args:
        exported: a SavedModel.
        precision: the name of a TFLite format, see `transpiler.formats`.
        samples: representative data, for `tflite-int8`.
        track: shows how far the samples are.

    Raises:
        ModelError: the converter refuses the model; its operators are named.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported))
    _PREPARE[precision](converter)
    if samples is not None:
        converter.representative_dataset = lambda: _calls(samples, track)
    try:
        return Converted(_run(converter), ())
    except _Refused as first:
        if samples is not None or not first.flexible:
            raise _explained(first, precision) from first
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        try:
            return Converted(_run(converter), first.flexible)
        except _Refused as second:
            raise _explained(second, precision) from second


class _Refused(Exception):  # noqa: N818  (there may be a second way)
    """The converter has failed."""

    def __init__(self, said: str) -> None:
        self.reason = next(iter(said.strip().splitlines()), "no reason given")
        self.flexible = _operators(said, "TF Select|Flex")
        """Operators that the Flex delegate has."""
        self.unknown = _operators(said, "Custom")
        super().__init__(said)


def _operators(said: str, kind: str) -> tuple[str, ...]:
    named = re.search(rf"(?:{kind}) ops: ([^\n]*)", said)
    return tuple(dict.fromkeys(re.findall(r"[A-Za-z]\w+", named.group(1)))) if named else ()


def _run(converter: Any) -> bytes:
    try:
        with quiet():
            content: bytes = converter.convert()
    except Exception as error:  # the converter raises whatever it likes
        raise _Refused(str(error)) from error
    return content


def _explained(refused: _Refused, precision: str) -> ModelError:
    operators = (*refused.flexible, *refused.unknown)
    reason = f"TFLite has no {', '.join(operators)}" if operators else refused.reason
    if precision == "tflite-int8" and operators:
        reason += " of integers"
    hint = 'end the model before it with `until "module"` in the rules'
    return ModelError(Diagnostic(f"cannot be converted: {reason}", where=precision, hint=hint))


def _calls(samples: Samples, track: Track) -> Iterator[dict[str, Any]]:
    for sample in track(samples, "measuring the samples"):
        yield dict(sample)


def _float32(converter: Any) -> None:
    """As it is."""


def _float16(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8


_PREPARE: dict[str, Callable[[Any], None]] = {
    "tflite": _float32,
    "tflite-float16": _float16,
    "tflite-dynamic": _dynamic,
    "tflite-int8": _int8,
}
