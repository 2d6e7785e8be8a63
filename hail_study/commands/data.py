"""`hail-study data`."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from hail_study.commands.exits import DONE, NO

EXAMPLES: Final = """\
examples:
  hail-study data list                                   what a study file can name, and what can be fetched
  hail-study data get ml-100k --folder data              download, check against the publisher's checksum, convert
  hail-study data check ratings.csv data.time=when       can it be read, and is it fit for a study?
  hail-study data describe studies/ablation.yaml         of a study's data: counts, density, lengths, ties

A study file, or a file of interactions (text, CSV, Parquet, .inter; gzip accepted) with path=value for its columns.
exit status: 0 done, 1 the data are readable but doubtful (check), 2 they are not readable
"""


def options(parser: argparse.ArgumentParser) -> None:
    """What to do with which data."""
    parser.add_argument("action", choices=("list", "get", "check", "describe"))
    parser.add_argument("source", nargs="?", help="a study file, a data file, or the name of a data set to get")
    parser.add_argument("overrides", nargs="*", metavar="path=value", help="as in a study file: data.k_core=0")
    parser.add_argument("--folder", type=Path, default=Path("data"), help="where `get` puts files; default data")
    parser.add_argument("--json", action="store_true", help="with describe: for machines")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    if arguments.action == "list":
        return _list()
    if arguments.source is None:
        from hail_study.commands.exits import Refused

        raise Refused(f"data {arguments.action}: name a study file, a data file or a data set")
    if arguments.action == "get":
        return _get(arguments.source, arguments.folder)
    description = _description(arguments.source, arguments.overrides)
    if arguments.action == "describe":
        print(json.dumps(description, indent=2, default=str) if arguments.json else _text(description))
        return DONE
    doubts = doubts_about(description)
    print("\n".join([_text(description), "", *(f"doubtful: {doubt}" for doubt in doubts)] if doubts else ["fit"]))
    return NO if doubts else DONE


def _list() -> int:
    from hail_study.data.fetch import SOURCES as FETCHED
    from hail_study.study.catalogue import SOURCES

    print("sources of a study file (data.source):")
    print("\n".join(f"  {name}" for name in SOURCES))
    print("data sets that `hail-study data get` fetches:")
    print("\n".join(f"  {name:10}{one.title}" for name, one in FETCHED.items()))
    return DONE


def _get(name: str, folder: Path) -> int:
    from hail_study.data.fetch import fetch

    path = fetch(name, folder)
    print(f"{path}\nin a study file: data: {{source: file, path: {path}}}")
    return DONE


def _description(source: str, overrides: list[str]) -> dict[str, Any]:
    """Of a study's reference data, or of a file read with a study's defaults."""
    from hail_study.data import Examples, prepare, require_users

    settings = _settings(source, overrides)
    prepared = prepare(settings)
    require_users(prepared, settings)
    if isinstance(prepared, Examples):
        return dict(prepared.description) | {"fingerprint": prepared.fingerprint}
    lengths = prepared.lengths
    spread = {f"{share}%": int(value) for share, value in zip((0, 50, 90, 100), _quantiles(lengths), strict=True)}
    return prepared.description | {"fingerprint": prepared.fingerprint, "lengths": spread}


def _settings(source: str, overrides: list[str]) -> Any:
    from hail_study.study import Configuration, configure, load
    from hail_study.study.configuration import FileData
    from hail_study.study.positions import parse_value

    if source.endswith((".yaml", ".yml")):
        return load(source, overrides).reference.configuration.data
    given = {path: parse_value(value) for path, _, value in (one.partition("=") for one in overrides)}
    return configure(Configuration(data=FileData(source="file", path=Path(source))), given).data


def _quantiles(lengths: Any) -> list[float]:
    import numpy as np

    return [float(value) for value in np.quantile(lengths, [0, 0.5, 0.9, 1])]


def _text(description: dict[str, Any]) -> str:
    lines = []
    for name, value in description.items():
        shown = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        lines.append(f"{name:18}{shown:.4g}" if isinstance(shown, float) else f"{name:18}{shown}")
    return "\n".join(lines)


def doubts_about(description: dict[str, Any]) -> list[str]:
    """What a reader of a study on these data would ask about."""
    doubts = []
    counts, columns = description.get("after", {}), description.get("columns", {})
    if columns and columns.get("time") is None:
        doubts.append("no time column: the order of the file is taken for the order in time (data.time names one)")
    if description.get("tied_last_items", 0) > 0.1:
        share = description["tied_last_items"]
        doubts.append(
            f"{share:.0%} of the users' last items share their time stamp: the test target hangs on data.ties"
        )
    if counts and counts["users"] < 100:
        doubts.append(f"{counts['users']} users: a metric over so few is coarse")
    if description.get("lengths", {}).get("50%", 4) < 4:
        doubts.append("half of the users have fewer than 4 interactions: little is left to train on after the split")
    if description.get("repeats", 0) > 0.5:
        doubts.append("more than half of the interactions repeat: look at the baseline `frequency` first")
    return doubts
