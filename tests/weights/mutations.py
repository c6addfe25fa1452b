"""Valid files, changed a little: by bytes, and by what their JSON says, so that a change gets past the first check."""

from __future__ import annotations

import json
import struct

from hypothesis import strategies as st

ODD_TEXTS = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../x.safetensors",
    "a\0b",
    "\x1b[2J",
    "\ud800",
    "é" * 300,
    "__class__",
    "F32",
    "-1",
]
ODD_TEXTS += [
    "a.safetensors",
    "b.safetensors",
    "fc.kernel",
    "fc.weight",
    "fc",
    "0",
    "o i -> i o",
    "(" * 50,
    "a -> a a",
    "...",
]
ODD_NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    7,
    8,
    1 << 31,
    1 << 32,
    1 << 48,
    1 << 62,
    1 << 63,
    (1 << 64) - 1,
    1 << 64,
    10**400,
    0.5,
    1e308,
]

odd = st.sampled_from([*ODD_TEXTS, *ODD_NUMBERS, None, True, False])
values = st.recursive(
    odd | st.text(max_size=8) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(ODD_TEXTS), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def changed_bytes(draw, content):
    """`content` with pieces cut out, put in, doubled or overwritten."""
    found = bytes(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(found)))
        stop = min(len(found), start + draw(st.sampled_from([0, 1, 2, 8, 64, 1 << 20])))
        piece = draw(
            st.binary(max_size=16) | st.just(found[start:stop] * 2) | st.sampled_from([b"[" * 3000, b"\xff" * 8])
        )
        found = found[:start] + piece + found[stop:]
    return found


@st.composite
def changed_json(draw, document):
    """The text of `document` with values replaced, left out, moved or doubled; sometimes with a name twice."""
    found = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        found = _changed(draw, found)
    text = json.dumps(found)
    if draw(st.integers(0, 9)) == 0 and text.startswith('{"'):
        text = "{" + text[1:-1] + ", " + text[1:]  # every name twice
    return text.encode()


def _changed(draw, node):
    deeper = isinstance(node, list | dict) and node and draw(st.integers(0, 5)) > 0
    if not deeper:
        return draw(values)
    key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    match draw(st.sampled_from(["into", "into", "into", "out", "again", "swap"])):
        case "into":
            node[key] = _changed(draw, node[key])
        case "out":
            node.pop(key)
        case "again" if isinstance(node, list):
            node.append(node[key])
        case "again":
            node[draw(st.text(max_size=6) | st.sampled_from(ODD_TEXTS))] = node[key]
        case "swap":
            other = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            node[key], node[other] = node[other], node[key]
    return node


def safetensors_files(content):
    """Changed safetensors files; half of them with a header whose length is right."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    bodies = st.just(body) | changed_bytes(body)
    whole = st.tuples(changed_json(header), bodies).map(
        lambda pair: struct.pack("<Q", len(pair[0])) + pair[0] + pair[1]
    )
    return changed_bytes(content) | whole
