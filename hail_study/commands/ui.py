"""`hail-study ui`."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from hail_study.commands.clusterfile import (
    DASHBOARD_PORT,
    FOLDER,
    MLFLOW_PORT,
    ClusterFile,
    cluster_file,
    is_cluster_file,
)
from hail_study.commands.exits import DONE, NO
from hail_study.commands.studyfile import record_of, study_of, study_options

if TYPE_CHECKING:
    from hail_study.record.location import Location

EXAMPLES: Final = """\
examples:
  hail-study ui studies/ablation.yaml              http://127.0.0.1:5000
  hail-study ui studies/ablation.yaml --port 5001
  hail-study ui cluster.yaml                       a cluster's MLflow and Ray dashboard, through one tunnel
"""

_SERVE: Final = """\
cd ~/{folder} && (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null || {{ if [ -f mlflow.db ]; then \
mlflow server --host 127.0.0.1 --port {port} --workers 1 --backend-store-uri sqlite:///mlflow.db > mlflow.log 2>&1 & \
else echo "no record on the head yet, and no MLflow server: run a study first"; fi; }}; \
sleep infinity"""
"""What the head does while it is looked at: MLflow's pages come from the server there is, else from the record.

One process serves one reader. Of several, MLflow ends those that do not answer in 5 s: a busy head starts them over and
over.
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study whose record is shown, and where."""
    study_options(parser, "the study file, or a cluster file of Ray's")
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=int, default=MLFLOW_PORT)


def run(arguments: argparse.Namespace) -> int:
    """Become MLflow's server on the study's record; a record on a server has pages already."""
    if is_cluster_file(arguments.study):
        return _through_tunnel(cluster_file(arguments.study))
    location = record_of(study_of(arguments)).location
    if location.tracking.startswith("http"):
        print(f"the record is on a server: open {location.tracking}")
        return DONE
    sys.stdout.flush()
    return os.execv(sys.executable, server_command(location, arguments.host, arguments.port))


def _through_tunnel(cluster: ClusterFile) -> int:
    """MLflow and the Ray dashboard of a cluster at this machine's own ports, until interrupted."""
    print(f"MLflow         http://127.0.0.1:{MLFLOW_PORT}")
    print(f"Ray dashboard  http://127.0.0.1:{DASHBOARD_PORT}   (asks for the token: ray get-auth-token)")
    print("Ctrl-C closes the tunnel.", flush=True)
    line = _SERVE.format(folder=FOLDER, port=MLFLOW_PORT)
    return NO if cluster.execute(line, [MLFLOW_PORT, DASHBOARD_PORT]) else DONE


def server_command(location: "Location", host: str, port: int) -> list[str]:
    """MLflow's server on a database."""
    artifacts = ["--default-artifact-root", location.artifacts] if location.artifacts else []
    return [
        sys.executable,
        *("-m", "mlflow", "server", "--backend-store-uri", location.tracking, *artifacts),
        *("--host", host, "--port", str(port), "--workers", "1"),
    ]
