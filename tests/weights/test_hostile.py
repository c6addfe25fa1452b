"""Checkpoints that someone has made to break us: one clear error each, fast, and in little memory."""

from __future__ import annotations

import json
import pickle
import resource
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save, save_file

from transpiler.errors import CheckpointError
from transpiler.weights.checkpoint import open_checkpoint

GOOD = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4)})


def flat(header, body=b"\0" * 8):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


TWICE = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
FLAT = {
    "empty": b"",
    "short": b"\1\0\0",
    "length beyond the file": struct.pack("<Q", 1 << 20) + b"{}",
    "length of all memory": struct.pack("<Q", (1 << 64) - 1) + b"{}",
    "length negative": struct.pack("<q", -1) + b"{}",
    "truncated": GOOD[:-1],
    "trailing": GOOD + b"x",
    "no json": flat(b"{"),
    "a list": flat(b"[]"),
    "not utf-8": flat(b'{"\xff":1}'),
    "nested": flat(b"[" * 100_000 + b"]" * 100_000),
    "nested in metadata": flat(b'{"__metadata__":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
    "name twice": flat(TWICE),
    "overlap": flat({"a": tensor(), "b": tensor()}),
    "hole": flat({"a": tensor((1,), (4, 8))}),
    "backwards": flat({"a": tensor((2,), (8, 0))}),
    "beyond the end": flat({"a": tensor((4,), (0, 16))}),
    "negative offset": flat({"a": tensor((2,), (-8, 0))}),
    "huge shape": flat({"a": tensor((1 << 40, 1 << 40))}),
    "shape that wraps": flat({"a": tensor((1 << 62, 8))}),
    "huge and empty": flat({"a": tensor((1 << 62, 1 << 62, 0), (0, 0))}, b""),
    "negative shape": flat({"a": tensor((-2,))}),
    "nan shape": flat(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'),
    "float shape": flat({"a": tensor((2.0,))}),
    "number of 5000 digits": flat(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}'),
    "unknown type": flat({"a": tensor(dtype="F31")}),
    "shape of another size": flat({"a": tensor((3,))}),
    "fields missing": flat({"a": {"dtype": "F32"}}),
    "metadata that is no text": flat({"__metadata__": {"a": 1}, "w": tensor()}),
}


def opened(path, content):
    path.write_bytes(content)
    checkpoint = open_checkpoint(path)
    return {key: checkpoint[key] for key in checkpoint}


def refused(path, content=None):
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        opened(path, content if content is not None else path.read_bytes())
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable() or "\n" in message
    return message


@pytest.mark.parametrize("name", FLAT)
def test_a_bad_safetensors_file_is_one_error(tmp_path, name):
    assert refused(tmp_path / "net.safetensors", FLAT[name]).startswith("net.safetensors: ")


def test_a_name_that_stands_in_the_header_twice_is_named(tmp_path):
    message = "net.safetensors: not a readable safetensors file: 'w' stands in it twice"
    assert refused(tmp_path / "net.safetensors", FLAT["name twice"]) == message


def test_a_name_cannot_write_to_the_terminal(tmp_path):
    save_file({"\x1b[2Jgone": np.zeros(2)}, tmp_path / "net.safetensors")
    assert list(open_checkpoint(tmp_path / "net.safetensors")) == ["\x1b[2Jgone"]
    (tmp_path / "net.safetensors.index.json").write_text(json.dumps({"weight_map": {"\x1b[2Jx": "net.safetensors"}}))
    assert "\x1b" not in refused(tmp_path / "net.safetensors.index.json")


OUTSIDE = [
    "/etc/passwd",
    "../net.safetensors",
    "sub/net.safetensors",
    "..",
    ".",
    "",
    "C:net.safetensors",
    "a\\b.safetensors",
]
OUTSIDE += ["net.safetensors\0", "a\nb.safetensors", "file://net.safetensors"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_index_names_nothing_but_files_beside_it(tmp_path, name):
    (tmp_path / "models").mkdir()
    (tmp_path / "net.safetensors").write_bytes(GOOD)
    path = tmp_path / "models" / "net.safetensors.index.json"
    message = refused(path, json.dumps({"weight_map": {"a": name}}).encode())
    assert message == f"net.safetensors.index.json: {name!r} is a path, not the name of a file beside the index"


INDICES = {
    "": "not an index of safetensors files: Expecting value: line 1 column 1 (char 0)",
    "[" * 100_000: "not an index of safetensors files: it is nested too deeply",
    "[]": "not an index of safetensors files: it has no 'weight_map' from tensors to files",
    '{"weight_map": {}}': "not an index of safetensors files: it has no 'weight_map' from tensors to files",
    '{"weight_map": {"a": 3}}': "not an index of safetensors files: 'a' lies in no named file",
    '{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}': (
        "not an index of safetensors files: 'a' stands in it twice"
    ),
    '{"weight_map": {"a": "none.safetensors"}}': "'none.safetensors' is not beside the index",
    '{"weight_map": {"a": "index.json"}}': "'index.json' is no safetensors file",
    '{"weight_map": {"a": "' + "a" * 300 + '.safetensors"}}': (
        f"{'a' * 300 + '.safetensors'!r} cannot be looked for: File name too long"
    ),
    '{"weight_map": {"z": "one.safetensors"}}': (
        "'z' is not in one.safetensors, where the index has it\n"
        "net.safetensors.index.json: 'b' of one.safetensors is not in the index\n"
        "net.safetensors.index.json: 'a' of one.safetensors is not in the index"
    ),
    '{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}': (
        "'b' lies in one.safetensors and in two.safetensors\n"
        "net.safetensors.index.json: 'a' lies in one.safetensors and in two.safetensors"
    ),
}


@pytest.mark.parametrize("text", INDICES)
def test_a_bad_index_is_one_error(tmp_path, text):
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").write_bytes(GOOD)
    message = refused(tmp_path / "net.safetensors.index.json", text.encode())
    assert message == f"net.safetensors.index.json: {INDICES[text]}"


def test_shards_are_one_checkpoint(tmp_path):
    save_file({"a": np.arange(3), "c": np.ones(2, np.float32)}, tmp_path / "one.safetensors")
    save_file({"b": np.zeros((2, 2))}, tmp_path / "two.safetensors")
    files = {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}
    (tmp_path / "net.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    checkpoint = open_checkpoint(tmp_path / "net.safetensors.index.json")
    assert sorted(checkpoint) == ["a", "b", "c"]
    np.testing.assert_array_equal(checkpoint["a"], [0, 1, 2])
    assert checkpoint["b"].shape == (2, 2)


class Runs:
    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


class Allocates:
    def __reduce__(self):
        return bytearray, (1 << 42,)


def zipped(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name.replace('__', '.')}", content)
    return path.read_bytes()


def endless():
    inner = {}
    inner["model"] = inner
    return inner


def wide():
    value = ["x"]
    for _ in range(40):
        value = [value, value]
    return {"state_dict": {"w": value}}


PICKLES = {
    "code": pickle.dumps(Runs()),
    "code in a state dict": pickle.dumps({"w": Runs()}),
    "allocation": pickle.dumps(Allocates()),
    "truncated": pickle.dumps({"w": 1})[:-3],
    "huge string": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.",
    "nested": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "memo": b"\x80\x04" + b"\x8ar" + struct.pack("<I", 0xFFFFFFFF) + b".",
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_bad_pickle_is_one_error(tmp_path, name):
    assert refused(tmp_path / "net.pt", PICKLES[name]).startswith("net.pt: not a plain state dict: ")


@pytest.mark.parametrize("make", [endless, wide])
def test_a_container_without_an_end_is_one_error(tmp_path, make):
    torch.save(make(), tmp_path / "net.pt")
    assert refused(tmp_path / "net.pt").startswith("net.pt: not a plain state dict: ")


def test_a_pickle_that_unpacks_into_all_memory_is_refused(tmp_path):
    content = zipped(tmp_path / "net.pt", zipfile.ZIP_DEFLATED, data__pkl=b"\0" * (1 << 28), version="3\n")
    assert len(content) < 1 << 20
    assert refused(tmp_path / "net.pt").startswith("net.pt: not a plain state dict: ")


def test_a_tensor_that_is_larger_than_its_file_is_one_error(tmp_path):
    torch.save({"w": torch.zeros(1).expand(1 << 45)}, tmp_path / "net.pt")  # one value, shown again and again
    assert open_checkpoint(tmp_path / "net.pt").sources["w"].shape == (1 << 45,)
    assert refused(tmp_path / "net.pt").startswith("net.pt: 'w' cannot be read: Unable to allocate")


@pytest.mark.parametrize(("old", "new"), [(4, -1), (4, 1 << 40), (7, 1 << 40), (7, -1)])
def test_a_storage_that_is_not_in_the_file_is_one_error(tmp_path, old, new):
    torch.save({"w": torch.zeros(4)[:, None].expand(4, 7)}, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    # Every 4 (the storage's length, the first size) or 7 (the second) in the pickle, each an opcode and a byte.
    number = b"\x8a\x09" + new.to_bytes(9, "little", signed=True)
    members["data.pkl"] = members["data.pkl"].replace(b"K" + bytes([old]), number)
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"net/{name}", content)
    assert refused(tmp_path / "net.pt").startswith("net.pt: ")
