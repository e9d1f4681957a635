"""Files of text and data."""

from __future__ import annotations

import pytest

from handmesh_ros.common.files import parse_json, parse_yaml


@pytest.mark.parametrize(
    "text",
    ["[", "[" * 5000, '"\\U00200000"', "2024-13-45", "!!timestamp soon", "a: b: c", "{[1]: 2}"],
)
def test_what_is_no_yaml_is_one_error(text):
    with pytest.raises(ValueError) as caught:
        parse_yaml(text)
    assert str(caught.value) and "\n" not in str(caught.value)


def test_yaml_is_read():
    assert parse_yaml("right: 0.19\nnames: [a, b]") == {"right": 0.19, "names": ["a", "b"]}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1, "a": 2}'])
def test_what_is_no_json_is_one_error(text):
    with pytest.raises(ValueError):
        parse_json(text)
