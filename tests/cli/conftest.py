from __future__ import annotations

import sys

import pytest

from tests.commands import Run
from transpiler.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["kerascribe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Run(ended.value.code or 0, printed.out, printed.err)

    yield command
    sys.modules.pop("some_net", None)
