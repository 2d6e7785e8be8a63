"""An MLflow server on a test host, as `deploy/mlflow` runs it: PostgreSQL, proxied artifacts, passwords, TLS."""

import os
import secrets
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from hosts import Host, wait_for_port

PORT = 5443
_DEPLOYED = Path(__file__).parent.parent.parent / "deploy" / "mlflow"
_POSTGRESQL = Path("/usr/lib/postgresql")


def reason_not_here() -> str | None:
    """Why there can be no server on this machine; None where there can."""
    if not list(_POSTGRESQL.glob("*/bin/initdb")) or shutil.which("openssl") is None:
        return "an MLflow server needs Debian's postgresql, and openssl"
    return None


class MlflowServer:
    """MLflow's server and its database on one host.

    Args:
        host: Where they run.
        folder: For files of this machine that the host sees too; the database gets one of its own.

    Attributes:
        uri: To track to.
        address: Of its host.
        artifacts: The folder that it keeps runs' files in.
        password: Of the user `hail`, MLflow's administrator here.
        certificate: By which clients know the server.
    """

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._folder, self.address = host, folder, host.address
        self.uri = f"https://{host.address}:{PORT}"
        self.artifacts = folder / "artifacts"
        self.password, self._database_password = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.certificate = folder / "certificate.pem"
        self._data = folder / "postgres"
        self._make_certificate()
        self._make_database()
        settings = (_DEPLOYED / "auth.ini").read_text().replace("/auth/auth.db", f"{folder}/auth.db")
        (folder / "auth.ini").write_text(settings)
        self.start()

    @property
    def credentials(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": "hail",
            "MLFLOW_TRACKING_PASSWORD": self.password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.certificate),
        }

    def start(self) -> None:
        """Start the server; returns when it listens."""
        environment = {
            "PGPASSWORD": self._database_password,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # four processes of 240 MB that studies have no use for
            "MLFLOW_AUTH_CONFIG_PATH": str(self._folder / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._database_password,
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"{self._host.address}:{PORT}",
        }
        tls = f"--ssl-keyfile {self._folder}/key.pem --ssl-certfile {self.certificate}"
        command = [
            *("mlflow", "server", "--host", self._host.address, "--port", str(PORT), "--workers", "1"),
            *("--backend-store-uri", f"postgresql://mlflow@/mlflow?host={self._data}"),
            *("--artifacts-destination", str(self.artifacts), "--serve-artifacts"),
            *("--app-name", "basic-auth", "--uvicorn-opts", tls),
        ]
        exported = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        line = f"cd {self._folder}; {exported} setsid nohup {shlex.join(command)} > mlflow.log 2>&1 < /dev/null &"
        self._host.run(line)
        wait_for_port(self._host.address, PORT, 240)

    def stop(self) -> None:
        """Kill the server; its database stays."""
        self._host.run("pkill -9 -f '[m]lflow.server|[u]vicorn|[m]lflow server' || true")
        time.sleep(1)

    def restart_database(self) -> None:
        """As after a crash of the database."""
        self._postgres(f"pg_ctl -D {self._data} -m immediate restart -l {self._data}/log -w -t 120")

    def _make_certificate(self) -> None:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mlflow"),
                *("-addext", f"subjectAltName=IP:{self._host.address}"),
                *("-keyout", self._folder / "key.pem", "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    def _make_database(self) -> None:
        self._data.mkdir()
        subprocess.run(["chown", "postgres:postgres", self._data], check=True)
        for parent in self._data.parents:
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        self._postgres(f"initdb -D {self._data} -A trust --locale=C.UTF-8 -E UTF8 > /dev/null")
        (self._data / "postgresql.auto.conf").write_text(
            f"listen_addresses = ''\nunix_socket_directories = '{self._data}'\nfsync = on\n"
        )
        self._postgres(f"pg_ctl -D {self._data} start -l {self._data}/log -w -t 120")
        statements = f"CREATE USER mlflow PASSWORD '{self._database_password}'; CREATE DATABASE mlflow OWNER mlflow"
        for statement in statements.split("; "):
            self._postgres(f'psql -qh {self._data} postgres -c "{statement}"')
        (self._data / "pg_hba.conf").write_text("local all postgres peer\nlocal all all scram-sha-256\n")
        self._postgres(f"pg_ctl -D {self._data} reload")

    def _postgres(self, line: str) -> None:
        """A command of PostgreSQL's, as its own user."""
        tools = max(_POSTGRESQL.glob("*/bin"))
        user = "setpriv --reuid postgres --regid postgres --clear-groups"
        self._host.run(f"cd {self._data} && PATH={tools}:$PATH {user} bash -c {shlex.quote(line)}")
