"""JSON: every number of the table, for programs."""

import json

from hail_study.report.table import Table


def write(table: Table) -> str:
    """The table as JSON, keys in a fixed order."""
    return json.dumps(table.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
