"""`hail-study submit`."""

import argparse
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.commands.clusterfile import FOLDER, cluster_file
from hail_study.commands.exits import DONE, NO, Refused
from hail_study.commands.studyfile import study_of, study_options

if TYPE_CHECKING:
    from hail_study.study import Study

EXAMPLES: Final = """\
examples:
  hail-study submit cluster.yaml studies/ablation.yaml               watch it; Ctrl-C leaves it running there
  hail-study submit cluster.yaml studies/ablation.yaml seeds=8 compute.gpus=0.5
  hail-study submit cluster.yaml studies/ablation.yaml --detach      start it, and return

The study is checked here, copied to the head and run there on every node; what it prints is kept on the head beside its
record. The same command continues a study. While it runs it is watched again with `ray exec CLUSTER 'tail -f LOG'`.
The record names the commit of the checkout here, unless the cluster's code is another one: then the study says so.
exit status: 0 done (or started), 1 it ended otherwise: its last lines say how, 2 bad input
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The cluster, the study, and whether to wait."""
    parser.add_argument("cluster", type=Path, help="Ray's cluster file")
    study_options(parser)
    parser.add_argument("--detach", action="store_true", help="return when the study has started")


def run(arguments: argparse.Namespace) -> int:
    """Check the study here, run it there."""
    cluster = cluster_file(arguments.cluster)
    study = study_of(arguments, check_data=True)
    for file in (arguments.study, *data_files(study)):
        cluster.upload(file, _place(file))
    from hail_study.execution.provenance import submission

    told = submission(arguments.study.parent)
    status = cluster.execute(remote_line(_place(arguments.study), arguments.overrides, arguments.detach, told))
    if arguments.detach and status == DONE:
        print(f"started; watch it: ray exec {cluster.path} 'tail -n +1 -f {FOLDER}/{_log(arguments.study)}'")
    return DONE if status == DONE else NO


def data_files(study: "Study") -> list[Path]:
    """Files that the study's arms read, which the head must have too."""
    sources = (arm.configuration.data for arm in study.arms)
    return sorted({path for data in sources if isinstance(path := getattr(data, "path", None), Path)})


def remote_line(place: str, overrides: list[str], detach: bool, told: Mapping[str, str]) -> str:
    """What the head's shell is given: a driver that outlives the connection, and its output for as long as that lasts.

    The driver runs in a session of its own; a connection that breaks ends only the watching. The file is there before
    either starts: `tail` would not wait for it.

    Args:
        place: Of the study file, in the folder of studies.
        overrides: Of the study file.
        detach: Do not watch.
        told: Put into the driver's environment.
    """
    log = shlex.quote(_log(Path(place)))
    driver = shlex.join(["hail-study", "run", place, *overrides, "--address", "auto"])
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in {"PYTHONUNBUFFERED": "1", **told}.items())
    run = f"{environment} setsid --wait {driver} >> {log} 2>&1 < /dev/null"
    start = f"cd ~/{FOLDER} && : > {log} && {{ {run} & }}"
    return start if detach else f"{start}; driver=$!; tail -n +1 --pid=$driver -f {log}; wait $driver"


def _log(study: Path) -> str:
    return f"{study.stem}.log"


def _place(file: Path) -> str:
    """Where a file lies under the folder of studies: as it lies here under the working directory.

    Raises:
        Refused: It lies elsewhere.
    """
    relative = os.path.relpath(file)
    if relative.startswith(".."):
        raise Refused(f"{file} is outside the folder {Path.cwd()}, which is what the cluster gets; run from above it")
    return relative
