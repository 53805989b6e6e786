from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from whichpod.manifest.nodes import MOST_CHARACTERS, Mapping, Node, Sequence, compose
from whichpod.model.errors import ManifestError, MissingExtraError
from whichpod.scenarios.scenario import scenarios


def plain(node: Node) -> Any:
    if isinstance(node, Mapping):
        return {k: plain(v) for k, v in node.items.items()}
    return [plain(i) for i in node.items] if isinstance(node, Sequence) else node.value


def one(text: str) -> Any:
    (document,) = compose(text, "f.yaml")
    return plain(document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("No", False),
        ("on", True),
        ("'true'", "true"),
        ('"1"', "1"),
        ("2024-01-02", "2024-01-02"),
        ("1:30", "1:30"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("a b", "a b"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    assert one(f"a: {text}") == {"a": value}
    assert type(one(f"a: {text}")["a"]) is type(value)


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null"])
def test_null(text: str) -> None:
    assert one(text) == {"a": None}


def test_every_node_knows_its_line() -> None:
    (top,) = compose("a: 1\nb:\n- x\n- y: 2\n", "f.yaml")
    assert isinstance(top, Mapping)
    b = top.items["b"]
    assert isinstance(b, Sequence)
    assert (top.where.line, top.keys["b"].line, b.items[0].where.line, b.items[1].where.line) == (1, 2, 3, 4)


def test_documents_without_content_are_left_out() -> None:
    assert [plain(d) for d in compose("---\na: 1\n---\n# nothing\n---\nb: 2\n", "f")] == [{"a": 1}, {"b": 2}]
    assert compose("", "f") == []


def test_anchors_and_merge_keys() -> None:
    text = "base: &b {x: 1, y: 2}\nuse: *b\nown: {<<: *b, y: 3}\nmany: {<<: [*b, {z: 4}]}"
    found = one(text)
    assert found["use"] == {"x": 1, "y": 2}
    assert found["own"] == {"x": 1, "y": 3}
    assert found["many"] == {"x": 1, "y": 2, "z": 4}


BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "stands twice (first in line 1)"),
        ("a: [1,\n2", 2, "broken YAML"),
        ("a: b: c", 1, "broken YAML"),
        ("a: 1\n\tb: 2", 2, "broken YAML"),
        ("x: *nobody", 1, "no anchor &nobody"),
        ("x: &x [*x]", 1, "no anchor &x"),
        ("a: 1\n? [1]\n: 2", 2, "a key must be text"),
        ("a: !!python/object/apply:os.system [id]", 1, "tag"),
        ("a: !secret x", 1, "tag"),
        ("a: !!int x", 1, "does not fit its tag"),
        ("a: {<<: 5}", 1, "must name an object"),
        ("a\x01b", 1, "broken YAML"),
        ('a: "\\UFFFFFFFF"', 1, "broken YAML"),
        ("[" * 200, 1, "deep"),
        (BOMB, 6, "aliases unfolded"),
        ("x" * (MOST_CHARACTERS + 1), 1, "longer than"),
    ],
)
def test_what_is_refused(text: str, line: int, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        compose(text, "f.yaml")
    assert says in caught.value.message
    assert caught.value.message.startswith(f"f.yaml:{line}: ")
    assert caught.value.line == line


def test_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"whichpod\[lab\]"):
        compose("a: 1", "f")


FRAGMENTS = st.sampled_from(
    ["a", ":", " ", "\n", "- ", "[", "]", "{", "}", "&x", "*x", "<<", '"', "'", "|", ">", "!!", "%", "---",
     "#", "?", "\\x", "1", "~", ",", "\t", "é", "\ufeff", "\r"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=40).map("".join)))
def test_any_text_is_nodes_or_a_manifest_error(text: str) -> None:
    lines = []
    try:
        for document in compose(text, "f"):
            plain(document)
            lines.append(document.where.line)
    except ManifestError as e:
        lines.append(e.line)
    ends = sum(text.count(end) for end in ("\n", "\r", "\x85", "\u2028", "\u2029"))
    assert all(1 <= line <= ends + 2 for line in lines)


TRICKY = """\
# What readers of YAML differ in, if anywhere.
a: &a {b: "é\\u00e9", 'c': [1, 0x1f, ~, yes, 1e3, "1"]}

d: |-
    two
     lines
e: >
  folded

  text
<<: *a
"f g": !!str 7
h: ! 8
---
- {x: 1,
   y: 2}
-
  - z
...
"""


@pytest.mark.parametrize(
    "text", [TRICKY, *(path.read_text() for s in scenarios() for path in s.manifests)], ids=lambda _: "text"
)
def test_both_of_pyyamls_parsers_give_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert yaml.__with_libyaml__
    fast = compose(text, "f.yaml")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert compose(text, "f.yaml") == fast
