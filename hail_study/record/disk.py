"""A disk that is full, in words."""

import errno
import shutil
from pathlib import Path
from typing import Final

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or a quota, that is used up."""


def occupied(folder: Path) -> str:
    """How full the disk is on which a folder is, or would be made: ` (1.2 GB of 250 GB free)`."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    disk = shutil.disk_usage(existing)
    return f" ({_size(disk.free)} of {_size(disk.total)} free)"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
