import pytest

from transpiler.errors import RulesError
from transpiler.language import loader
from transpiler.language.loader import load_rules, pack_file
from transpiler.language.parser import parse_rules, skim_rules
from transpiler.language.syntax import ModuleRule
from transpiler.resources import pack_names, read_pack


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.rules").write_text(text, encoding="utf-8")
        return tmp_path / "main.rules"

    return write


@pytest.fixture
def packs(monkeypatch):
    def use(**texts):
        named = {name.replace("_", "."): text for name, text in texts.items()}
        monkeypatch.setattr(loader, "pack_names", lambda: tuple(sorted(named)))
        monkeypatch.setattr(loader, "read_pack", named.__getitem__)
        loader.parse_pack.cache_clear()

    yield use
    loader.parse_pack.cache_clear()


def classes(book):
    return [rule.cls for rule in book.module_rules]


def errors(path):
    with pytest.raises(RulesError) as caught:
        load_rules(path)
    return [
        (diagnostic.where.rpartition("/")[2], diagnostic.message, diagnostic.hint)
        for diagnostic in caught.value.diagnostics
    ]


def test_own_rules_win_over_used_ones_and_later_uses_over_earlier_ones(folder, packs):
    packs(torch_nn="module p.P => nothing")
    path = folder(
        main='use "a.rules"\nuse "b.rules"\nmodule m.M1 => nothing\nmodule m.M2 => nothing',
        a="module a.A => nothing",
        b='use "c.rules" module b.B => nothing',
        c="module c.C => nothing",
    )
    assert classes(load_rules(path)) == ["m.M1", "m.M2", "b.B", "c.C", "a.A", "p.P"]


def test_packs_are_always_in_force_and_where_they_are_used(folder, packs):
    packs(torch_nn="module n.N => nothing", torch_aten="op aten.relu(x) => keras.ops.relu(x)")
    path = folder(main='use torch.nn\nuse "a.rules"\nuse torch.nn', a="module a.A => nothing")
    book = load_rules(path)
    assert classes(book) == ["n.N", "a.A"]
    assert [rule.operator for rule in book.operator_rules] == ["aten.relu"]
    assert classes(load_rules(None)) == ["n.N"]


def test_a_file_used_twice_counts_where_it_stands_highest(folder, packs):
    packs()
    path = folder(
        main='use "c.rules"\nuse "b.rules"\n',
        b='use "c.rules" module b.B => nothing',
        c="module c.C => nothing",
    )
    assert classes(load_rules(path)) == ["b.B", "c.C"]


def test_only_the_file_itself_names_the_model(folder, packs):
    packs()
    path = folder(main='use "a.rules"', a='model "a.py:A" { }')
    assert load_rules(path).model is None
    path = folder(main='use "a.rules"\nmodel "m.py:M" { }')
    assert load_rules(path).model.factory == "m.py:M"


def test_texts_hold_every_file_read(folder, packs):
    packs(torch_nn="# pack")
    path = folder(main='use "a.rules"', a="# a")
    texts = {name.rpartition("/")[2]: text for name, text in load_rules(path).texts}
    assert texts == {"main.rules": 'use "a.rules"', "a.rules": "# a", "torch.nn.rules": "# pack"}


def test_everything_that_is_wrong_is_said_at_once(folder, packs):
    packs(torch_nn="module n.N => nothing")
    path = folder(
        main='use "a.rules"\nuse torch.nnn\nuse "missing.rules"\n'
        'model "a.py:A" { }\nmodel "b.py:B" { }\nmodule m.M => nothing',
        a="module a.A => nothing nothing\nmodule a.B =>",
    )
    assert [(where, message) for where, message, _ in errors(path)] == [
        (
            "a.rules:1:23",
            "expected a clause of the rule (when, =>, reads, weights, …) or the next rule, found 'nothing'",
        ),
        ("a.rules:2:14", "expected an expression, 'helper', 'nothing', 'template' or 'view', found the end"),
        ("main.rules:2:5", "there is no pack 'torch.nnn'"),
        ("main.rules:3:5", "'missing.rules' cannot be read: no such file or directory"),
        ("main.rules:5:7", "a rules file describes one model"),
    ]


def test_the_nearest_pack_is_suggested(folder, packs):
    packs(torch_nn="", torch_aten="")
    assert errors(folder(main="use torch.nnn"))[0][2] == "did you mean 'torch.nn'?"
    assert errors(folder(main="use flax"))[0][2] == "there are: torch.aten, torch.nn"


def test_a_circle_of_use(folder, packs):
    packs()
    path = folder(main='use "a.rules"', a='use "b.rules"', b='\nuse "a.rules"')
    assert errors(path) == [("b.rules:2:5", "a circle of 'use': a.rules → b.rules → a.rules", "")]
    path = folder(main='use "main.rules"')
    assert errors(path) == [("main.rules:1:5", "a circle of 'use': main.rules → main.rules", "")]


def test_a_circle_of_packs(packs):
    packs(torch_aten="use torch.nn", torch_nn="use torch.aten")
    assert errors(None) == [
        ("torch.nn.rules:1:5", "a circle of 'use': torch.aten.rules → torch.nn.rules → torch.aten.rules", "")
    ]


def test_packs_use_no_files(packs):
    packs(torch_nn='use "a.rules"')
    assert errors(None) == [("torch.nn.rules:1:5", "a pack uses packs, not files", "")]


def test_a_missing_rules_file(tmp_path, packs):
    packs()
    (problem,) = errors(tmp_path / "none.rules")
    assert problem == ("none.rules", "the rules file cannot be read: no such file or directory", "")


def test_a_file_that_is_no_text(tmp_path, packs):
    packs()
    path = tmp_path / "main.rules"
    path.write_bytes(b"\xff\xfe\x00")
    assert errors(path)[0][1] == "the rules file cannot be read: it is not UTF-8 text"


def test_shipped_packs_load():
    book = load_rules(None)
    assert {name for name, _ in book.texts} == {pack_file(name) for name in pack_names()}


def test_a_pack_is_parsed_rule_by_rule_as_it_is_as_a_whole():
    for name in pack_names():
        text = read_pack(name)
        whole, skimmed = parse_rules(text, pack_file(name)), skim_rules(text, pack_file(name))
        assert tuple(skimmed.module_rules) == tuple(whole.module_rules)
        assert tuple(skimmed.operator_rules) == tuple(whole.operator_rules)
        assert (skimmed.uses, skimmed.models) == (whole.uses, whole.models)
        entries = [*skimmed.module_rules.entries, *skimmed.operator_rules.entries]
        for entry in entries:
            assert {rule.cls if isinstance(rule, ModuleRule) else rule.operator for rule in entry.rules()} == {
                entry.name
            }


def test_what_is_not_asked_for_is_not_parsed(packs):
    packs(torch_nn="module n.N => nothing\nmodule n.Broken =>")
    broken, fine = sorted(load_rules(None).module_rules.entries, key=lambda entry: entry.name)
    assert fine.rules()[0].cls == "n.N"
    with pytest.raises(RulesError, match=r"packs/torch\.nn\.rules:2:"):
        broken.rules()
