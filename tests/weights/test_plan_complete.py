"""The plan speaks of every tensor of the state dict: poured, tied to one that is, or dropped with a reason."""

from __future__ import annotations

import torch
from torch import nn

from transpiler import transpile
from transpiler.weights.plan_file import parse_plan, plan_text


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        self.b.weight = self.a.weight  # two layers that share a tensor
        self.d.weight = self.c.weight  # of these, nothing is called
        self.bn = nn.BatchNorm1d(4)
        self.table = nn.Parameter(torch.rand(4))
        self.again = self.table
        self.register_buffer("steps", torch.arange(4.0), persistent=False)

    def forward(self, x):
        return self.bn(self.b(self.a(x))) * self.table + self.steps


def plan():
    torch.manual_seed(0)
    return transpile(Net(), (torch.rand(2, 4),)).plan


def test_every_tensor_has_its_place():
    found = plan()
    poured = {entry.source for entry in found.entries if entry.constant is None}
    tied = {tie.key: tie.source for tie in found.tied}
    dropped = {drop.source: drop.reason for drop in found.dropped}
    assert poured | tied.keys() | dropped.keys() == Net().state_dict().keys()
    assert not dropped.keys() & (poured | tied.keys())
    assert all(dropped.values())
    assert {frozenset(pair) for pair in tied.items()} == {
        frozenset(("a.weight", "b.weight")),
        frozenset(("table", "again")),
    }
    assert dropped.keys() == {"bn.num_batches_tracked", "c.weight", "c.bias", "d.weight", "d.bias"}
    assert [entry.source for entry in found.entries if entry.constant is not None] == ["steps"]


def test_the_text_is_the_same_every_time_and_is_read_back():
    text = plan_text(plan())
    assert plan_text(plan()) == text
    assert plan_text(parse_plan(text)) == text
    assert parse_plan(text) == plan()
