import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hail_study.data import DataError, Prepared, prepare
from hail_study.study import FileData

TABLE = pd.DataFrame(
    {
        "user_id": ["u2", "u1", "u1", "u2", "u1"],
        "item_id": ["i,7", "i3", "i7", "i3", "i9"],
        "rating": [5, 4, 3, 2, 1],
        "timestamp": [30, 20, 10, 40, 30],
    }
)


def load(path: Path, **settings) -> Prepared:
    return prepare(FileData(source="file", path=path, k_core=0, **settings))


def content(prepared: Prepared) -> tuple:
    users = np.repeat(prepared.user_names, prepared.lengths)
    items = prepared.item_names[prepared.items - 1]
    times = [] if prepared.times is None else prepared.times.tolist()
    return users.tolist(), items.tolist(), times


EXPECTED = (["u1", "u1", "u1", "u2", "u2"], ["i7", "i3", "i9", "i,7", "i3"], [10, 20, 30, 30, 40])


def rows(separator: str, table: pd.DataFrame) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in table.itertuples(index=False))


def write(path: Path) -> None:
    """`TABLE` in the format that the path's name announces."""
    plain = TABLE.drop(columns="rating")
    atomic = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + rows(
        "\t", TABLE.astype({"timestamp": float})
    )
    packed = {".txt": rows(" ", plain), ".tsv": rows("\t", plain), ".inter": atomic}
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix == ".csv":
        TABLE.to_csv(path.with_name(name), index=False)
    elif suffix == ".parquet":
        TABLE.to_parquet(path.with_name(name), index=False)
    else:
        path.with_name(name).write_text(packed[suffix])
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.with_name(name).read_bytes()))


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".csv", ".parquet", ".inter"])
def test_every_format_gives_the_same_interactions(tmp_path: Path, suffix: str, packed: str) -> None:
    path = tmp_path / f"data{suffix}{packed}"
    write(path)
    assert content(load(path)) == EXPECTED


def test_gzip_is_known_by_its_content_and_a_format_can_be_named(tmp_path: Path) -> None:
    write(tmp_path / "data.csv.gz")
    path = (tmp_path / "data.csv.gz").rename(tmp_path / "download")
    assert content(load(path, format="csv")) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "u1 i1 1\nu1 i2 2\n",
        "u1\ti1\t1\nu1\ti2\t2\n",
        "  u1   i1\t1  \r\n\r\n \t \r\nu1 i2    2",
        "\ufeffu1 i1 1\nu1 i2 2\n",
        "user item timestamp\nu1 i1 1\nu1 i2 2\n",
        "\nUserId rating ItemId TIMESTAMP\nu1 5 i1 1\nu1 3 i2 2\n",
    ],
    ids=["blanks", "tabs", "ragged", "byte order mark", "header", "header with more columns"],
)
def test_text_is_read_leniently_where_nothing_is_ambiguous(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(text.encode())
    assert content(load(path)) == (["u1", "u1"], ["i1", "i2"], [1, 2])


@pytest.mark.parametrize(
    "text",
    ["user,item,time\na,x,1\na,y,2\n", "time;item;user\n1;x;a\n2;y;a\n", 'user,item,time\n"a","x",1\n\n"a",y,"2"\n'],
)
def test_csv_may_be_quoted_and_use_other_delimiters(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    assert content(load(path)) == (["a", "a"], ["x", "y"], [1, 2])


@pytest.mark.parametrize("date", ["2020-01-02 00:00:00", "2020-01-02", "2020-01-02T00:00:00Z"])
def test_dates_become_microseconds(tmp_path: Path, date: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"user,item,date\na,x,{date}\n")
    assert content(load(path))[2] == [1_577_923_200_000_000]


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_parquet_dates_become_microseconds_whatever_their_unit(tmp_path: Path, unit: str, zone: str | None) -> None:
    path = tmp_path / "data.parquet"
    dates = pd.to_datetime(["2020-01-02"]).as_unit(unit).tz_localize(zone)
    pd.DataFrame({"user": ["a"], "item": ["x"], "date": dates}).to_parquet(path)
    assert content(load(path))[2] == [1_577_923_200_000_000]


def test_parquet_columns_of_any_sensible_type(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    frame = pd.DataFrame(
        {
            "user": pd.Categorical(["b", "a", "a"], categories=["unused", "b", "a"]),
            "item": [3.0, 11.0, 3.0],
            "time": pd.to_datetime(["2020-01-02", "2020-01-02", "2020-01-01"]),
        }
    )
    frame.to_parquet(path)
    assert content(load(path))[:2] == (["a", "a", "b"], ["3", "11", "3"])


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("who,what,when,timestamp\na,x,2,1\na,y,1,2\n")
    assert content(load(path, user="who", item="what", time="when"))[1] == ["y", "x"]


BAD = {
    "fields": ("data.txt", "1 2\n1 3\n1 3 4\n", r"data\.txt:3: 3 fields, not 2: `1 3 4`"),
    "too many fields": ("data.txt", "1 2 3 4\n", r"data\.txt:1: 4 fields where `user item \[timestamp\]` is expected"),
    "time": ("data.txt", "1 2 3\n\n1 2 x\n", r"data\.txt:3: `x` is no time stamp"),
    "not a number": ("data.txt", "1 2 3\n1 2 nan\n", r"data\.txt:2: `nan` is no time stamp"),
    "no item": ("data.csv", "user,item\na,x\na,\n", r"data\.csv:3: the item is missing"),
    "no time": ("data.csv", "user,item,time\na,x,\n", r"data\.csv:2: `` is no time stamp"),
    "after a quoted line break": ("data.csv", 'user,item,x\na,x,"1\n2"\na,,1\n', r"data\.csv:4: the item is missing"),
    "short line": ("data.csv", "user,item,x\na,x,1\nb,x\n", r"data\.csv:3: 2 fields, not 3: `b,x`"),
    "date": ("data.csv", "user,item,date\na,x,2020-01-01\na,y,2020-13-01\n", r"data\.csv:3: `2020-13-01` is no time"),
    "atomic": ("data.inter", "user_id:token\titem_id:token\n1\t2\n3\n", r"data\.inter:3: 1 fields, not 2: `3`"),
    "column": (
        "data.csv",
        "usr,item\n1,2\n",
        r"data\.csv:1: no user column among `usr`, `item`; name it in `data\.user`; did you mean `usr`\?",
    ),
    "encoding": ("data.txt", b"1 2\n1 \xff\n", r"data\.txt:2: not UTF-8 text"),
    "empty": ("data.txt", "", r"data\.txt: there is nothing in it"),
    "header only": ("data.csv", "user,item\n", r"data\.csv: there is no interaction in it"),
    "torn": ("data.txt.gz", gzip.compress(b"1 2\n" * 99)[:-9], r"data\.txt\.gz: damaged gzip file"),
    "parquet": ("data.parquet", "user,item\n", r"data\.parquet: not a readable Parquet file"),
}


@pytest.mark.parametrize(("name", "text", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match="^" + re.escape(f"{tmp_path}/") + message):
        load(path)


def test_a_named_column_that_is_missing_gets_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("customer,item,bought\na,x,1\n")
    with pytest.raises(
        DataError, match=r"no column `custmer` among `customer`, `item`, `bought`; did you mean `customer`"
    ):
        load(path, user="custmer")


def test_a_missing_file_gets_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "ratings.csv")
    missing = tmp_path / "rating.csv"
    with pytest.raises(DataError, match=r"rating\.csv: no such file; did you mean `ratings\.csv`\?"):
        prepare(FileData(source="file", path=tmp_path / "ratings.csv").model_copy(update={"path": missing}))


def test_missing_parquet_values_are_counted_by_row(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pd.DataFrame({"user": ["a", None], "item": ["x", "y"]}).to_parquet(path)
    with pytest.raises(DataError, match=r"data\.parquet: row 2: the user is missing"):
        load(path)


def test_ids_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pd.DataFrame({"user": ["a"], "item": [[1, 2]]}).to_parquet(path)
    with pytest.raises(DataError, match=r"data\.parquet: the item column holds list"):
        load(path)


def test_a_fault_far_down_a_large_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    lines = [f"{row % 100} {row} {row}" for row in range(200_000)]
    lines[150_000] = "7 8 9 10"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r":150001: 4 fields, not 3"):
        load(path)
