"""The record: what MLflow holds of every study, written while it runs and read back as data frames."""

from hail_study.record.errors import RecordError
from hail_study.record.record import Record

__all__ = ["Record", "RecordError"]
