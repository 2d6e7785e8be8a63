"""Surroundings of a study: a Ray cluster; a small disk, and an MLflow server behind a gate, which can break."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen


@contextmanager
def one_cluster(cpus: int = 2) -> Iterator[None]:
    """A Ray cluster of this machine that commands find by RAY_ADDRESS; its workers are no politer than its drivers."""
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    ray.init(address="local", num_cpus=cpus, num_gpus=0, include_dashboard=False, log_to_driver=False)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 4 MB for the checkpoints of a study; needs root."""
    disk = folder / ".hail"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


class Gate:
    """Stands in front of an MLflow server and can be out of order.

    Attributes:
        mode: `open`, `500`, or `gone`: connections are closed without an answer.
        port: Where it listens.
    """

    def __init__(self, backend: str) -> None:
        self.mode = "open"
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if gate.mode == "gone":
                    self.connection.close()
                    return
                status, answer, kind = gate.forward(backend + self.path, self.command, body, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forward(self, url: str, method: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Status, content and type of the server's answer, or of an error."""
        if self.mode == "500":
            return 500, b'{"error_code": "INTERNAL_ERROR", "message": "out of order"}', "application/json"
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        try:
            with urlopen(Request(url, body or None, kept, method=method)) as answer:
                return answer.status, answer.read(), answer.headers.get("Content-Type", "")
        except HTTPError as error:
            return error.code, error.read(), error.headers.get("Content-Type", "")


@contextmanager
def server(folder: Path) -> Iterator[Gate]:
    """An MLflow server behind a gate."""
    port = random.SystemRandom().randrange(20_000, 30_000)
    stores = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "kept"]
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *stores, "--port", str(port), "--workers", "1"],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    backend = f"http://127.0.0.1:{port}"
    _wait_for(backend)
    gate = Gate(backend)
    try:
        yield gate
    finally:
        gate.server.shutdown()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait_for(backend: str) -> None:
    for _ in range(3000):
        with suppress(URLError, OSError), urlopen(f"{backend}/health", timeout=10):
            return
        time.sleep(0.2)
    raise RuntimeError("the MLflow server does not start")
