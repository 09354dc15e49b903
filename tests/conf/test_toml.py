from __future__ import annotations

import pytest

from conf.errors import ConfError
from conf.toml import Document, Layers

TEXT = '''\
# a comment
name = "x"

[files]
path = "a"
query = """
name = 'not a key'
[not.a.table]
"""
list = [
  1,
  2,
]
packaged = { sources = false }

[[entry]]
from = 1
[[entry]]
from = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("files",), 4),
        (("files", "query"), 6),  # what stands in a text over many lines is no key
        (("files", "list"), 10),
        (("files", "packaged", "sources"), 14),  # in a table on one line
        (("entry", 0, "from"), 17),
        (("entry", 1, "from"), 19),
    ],
)
def test_every_key_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert Document.parse("x.toml", TEXT).lines[path] == line


def test_keys_inside_a_text_are_not_keys() -> None:
    assert ("files", "name") not in Document.parse("x.toml", TEXT).lines


def test_carriage_returns_do_not_move_lines() -> None:
    assert Document.parse("x.toml", TEXT.replace("\n", "\r\n")).lines == Document.parse("x.toml", TEXT).lines


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = = 2\n", 2), ("a = 1\nb = [\n", 3), ("a = 1\na = 2\n", 2)],
    ids=["syntax", "never closed", "given twice"],
)
def test_what_is_not_toml_is_said_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfError) as caught:
        Document.parse("x.toml", text)
    assert str(caught.value).startswith(f"x.toml:{line}: not TOML: ")


def test_later_layers_win_key_by_key_and_own_their_faults() -> None:
    layers = Layers(
        [
            Document.parse("below.toml", '[lake]\nzone = "UTC"\nlist = [1, 2]\n'),
            Document.parse("above.toml", "\n[lake]\nlist = [3]\n"),
        ]
    )
    assert layers.data == {"lake": {"zone": "UTC", "list": (3,)}}
    assert str(layers.fault(("lake", "zone"), "m")) == "below.toml:2: lake.zone: m"
    assert str(layers.fault(("lake", "list", 0), "m")) == "above.toml:3: lake.list: m"
    # A key nobody gives: the last table it would belong to.
    assert str(layers.fault(("lake", "gone"), "m")) == "above.toml:2: lake.gone: m"
