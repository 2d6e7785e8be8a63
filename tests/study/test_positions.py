import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hail_study.study.errors import StudyError
from hail_study.study.positions import parse, parse_scalar, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("-3", -3),
        ("10_000", 10000),
        ("0x10", 16),
        ("no", "no"),
        ("on", "on"),
        ("none", "none"),
        ("true", True),
        ("~", None),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("-.inf", float("-inf")),
    ],
)
def test_plain_scalars_are_read_as_yaml_1_2_does(text: str, value: object) -> None:
    assert parse_scalar(text) == value
    assert parse_value(text) == value


def test_quoted_scalars_are_text() -> None:
    assert parse_value("['1', \"true\", no]") == ["1", "true", "no"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abcxyz -_.:#'\"äß", max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_. ", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, min_size=1))
def test_what_pyyaml_writes_is_read_back(value: dict[str, object]) -> None:
    document = parse(yaml.safe_dump(value, allow_unicode=True), "x.yaml")
    assert document.value == value


def test_places_are_those_of_keys_and_values() -> None:
    document = parse("a:\n  b: [10, 20]\nc: {d: 1}\n", "x.yaml")
    assert document.place(("a", "b"), key=True).text == "x.yaml:2:3"
    assert document.place(("a", "b")).text == "x.yaml:2:6"
    assert document.place(("a", "b", 1)).text == "x.yaml:2:11"
    assert document.place(("c", "missing")).text == "x.yaml:3:1"


def test_anchors_and_merges_are_understood() -> None:
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\n"
    assert parse(text, "x.yaml").value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: a: duplicate key; first given at line 1"),
        ("a:\n  b: {c: 1, c: 2}\n", "x.yaml:2:13: a.b.c: duplicate key; first given at line 2"),
        ("a: [1\nb: 2", "x.yaml:2:2: did not find expected ',' or ']', while parsing a flow sequence"),
        ("", "x.yaml:1:1: the file is empty"),
        ("# only a comment\n", "x.yaml:1:1: the file is empty"),
        ("- a\n", "x.yaml:1:1: a study file is a mapping: `name: ...`, `base: ...`"),
        ("a: &a [*a]\n", "x.yaml:1:4: a[0]: an alias that contains itself"),
        ("a: &a {<<: *a}\n", None),
        ("a: {<<: b, c: 1}\n", "x.yaml:1:5: a.<<: takes a mapping or a list of them: <<: *anchor"),
        ("a: &a {}\nb:\n  <<: [*a, b, c]\n", "x.yaml:3:3: b.<<: takes a mapping or a list of them: <<: *anchor"),
        ("a: &a {<<: b}\nc: {<<: *a}\n", "x.yaml:1:8: a.<<: takes a mapping or a list of them: <<: *anchor"),
        ("a: {<<: {<<: }}\n", "x.yaml:1:10: a.<<: takes a mapping or a list of them: <<: *anchor"),
        ("a: !python/object x\n", "x.yaml:1:4: a: unknown tag !python/object"),
        ("? [a]\n: 1\n", "x.yaml:1:3: a key must be a word"),
    ],
)
def test_what_is_no_study_file_is_an_error_at_its_place(text: str, error: str | None) -> None:
    if error is None:
        assert parse(text, "x.yaml").value == {"a": {}}
        return
    with pytest.raises(StudyError) as caught:
        parse(text, "x.yaml")
    assert str(caught.value) == error
