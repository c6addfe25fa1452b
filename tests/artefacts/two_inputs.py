"""A small model with two inputs, one of them indices, and two outputs."""

import torch
from torch import nn


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(20, 8)
        self.lin = nn.Linear(6, 8)
        self.conv = nn.Conv1d(8, 12, 3, padding=1)
        self.bn = nn.BatchNorm1d(12)

    def forward(self, ids, x):
        h = self.emb(ids) + self.lin(x)
        h = torch.relu(self.bn(self.conv(h.transpose(1, 2)))).transpose(1, 2)
        return {"tokens": h, "mean": h.mean(1)}
