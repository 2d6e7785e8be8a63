"""What goes wrong with a record."""


class RecordError(Exception):
    """The record cannot be opened, read or written; the message says where, why and what to do."""
