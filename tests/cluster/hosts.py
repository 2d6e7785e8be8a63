"""Hosts to test clusters on: Linux namespaces joined by a bridge, each with an sshd, an address and a home of its own.

A host has its own network, process, mount, host-name and IPC namespaces, its own `/tmp/ray`, `/dev/shm` and `~`; the
machine itself is the user's laptop, at `.254`. Without a process namespace one host's `ray stop` would end every Ray of
the machine. Needs root, and Debian's `openssh-server` and `iproute2`.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_INSIDE = """
hostname {name}
mount --bind {home}/passwd /etc/passwd
mount --bind {home}/hosts /etc/hosts
mkdir -p /tmp/ray /run/sshd; mount --bind {home}/ray /tmp/ray
mount -t tmpfs -o size=1g tmpfs /dev/shm
/usr/sbin/sshd -D -e -f {home}/sshd_config &
while :; do wait -n || sleep 1; done
"""

_SSHD = """
ListenAddress {address}
HostKey {keys}/host
AuthorizedKeysFile {keys}/id.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
PrintMotd no
MaxSessions 100
MaxStartups 100
"""

_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""However the test's process ends, its hosts end with it."""
_CPU_GROUPS = Path("/sys/fs/cgroup/cpu")


def reason_not_here() -> str | None:
    """Why there can be no hosts on this machine; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts need root on Linux, for network namespaces"
    missing = [name for name in ("ip", "unshare", "setpriv", "rsync", "ssh-keygen") if shutil.which(name) is None]
    missing += [] if Path("/usr/sbin/sshd").exists() else ["sshd"]
    if missing:
        return f"hosts need openssh-server, iproute2, util-linux and rsync; not found: {', '.join(missing)}"
    probe = f"hs{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"hosts need network namespaces: {made.stderr.strip()}"
    _ip("netns", "del", probe)
    return None


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)


class Host:
    """One host; made by `network`.

    Attributes:
        name: Its host name.
        address: Its IPv4 address.
        home: Its root's home, seen from outside.
    """

    def __init__(self, network: "Network", number: int, name: str) -> None:
        self._network, self._number, self.name = network, number, name
        self.address = network.address(number)
        self._folder = network.folder / name
        self.home = self._folder / "home"
        self._space, self._link = f"{network.tag}-{number}", f"{network.tag}v{number}"
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Make its folders and its link, and start it."""
        self._prepare()
        self._connect()
        self.start()

    def _prepare(self) -> None:
        for folder in (self.home, self._folder / "ray"):
            folder.mkdir(parents=True)
        accounts = Path("/etc/passwd").read_text().replace(":/root:", f":{self.home}:", 1)
        (self._folder / "passwd").write_text(accounts)
        (self._folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (self._folder / "sshd_config").write_text(_SSHD.format(address=self.address, keys=self._network.folder))
        path = f"export PATH={Path(sys.executable).parent}:$PATH"
        settings = " ".join(f"{name}={value}" for name, value in self._network.environment.items())
        (self.home / ".bashrc").write_text(f"{path}\nexport {settings}\n" if settings else f"{path}\n")

    def _connect(self) -> None:
        _ip("netns", "add", self._space)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip("link", "set", self._link, "master", self._network.tag, "up")
        for command in (
            "link set lo up",
            f"addr add {self.address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {self._network.address(253)}",  # nobody: Ray wants a route, nothing may leave
        ):
            _ip("-n", self._space, *command.split())

    def start(self) -> None:
        """Start it, for the first time or after `kill`; returns when ssh answers. It ends with the test's process."""
        inside = _INSIDE.format(name=self.name, home=self._folder)
        spaces = ["--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--uts", "--ipc"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_WITH_US, "ip", "netns", "exec", self._space, "unshare", *spaces, "bash", "-c", inside],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for_port(self.address, 22)

    def kill(self) -> None:
        """Lose the host at once, every process of it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            time.sleep(0.2)

    def remove(self) -> None:
        """Lose the host and its link for good."""
        self.kill()
        _ip("netns", "del", self._space, check=False)
        with suppress(OSError):
            (_CPU_GROUPS / self._space).rmdir()

    def cut(self) -> None:
        """Take the network cable out."""
        _ip("link", "set", self._link, "down")

    def heal(self) -> None:
        """Put it back."""
        _ip("link", "set", self._link, "up")

    def refuse(self, address: str) -> None:
        """Let nothing here reach another host, however it is asked for."""
        _ip("-n", self._space, "route", "replace", "blackhole", f"{address}/32")

    def slow_down(self, share: float) -> None:
        """Let every process there is now have `share` of one CPU together."""
        group = _CPU_GROUPS / self._space
        group.mkdir(exist_ok=True)
        (group / "cpu.cfs_quota_us").write_text(str(int(share * 100_000)))
        for process in self.processes():
            with suppress(OSError):
                (group / "cgroup.procs").write_text(str(process))

    def processes(self) -> list[int]:
        """Process ids, as this machine knows them."""
        found = subprocess.run(["ip", "netns", "pids", self._space], capture_output=True, text=True, check=True)
        return [int(line) for line in found.stdout.split()]

    def command(self, line: str) -> list[str]:
        """A shell command as arguments that run it on this host, over ssh."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=30"]
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", "-i", str(self._network.key), *flags, f"root@{self.address}", f". ~/.bashrc; {line}"]

    def run(self, line: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell command there and wait for it."""
        done = subprocess.run(self.command(line), capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {line}\n{done.stdout}{done.stderr}")
        return done


class Network:
    """A bridge with hosts on it.

    Attributes:
        folder: Where keys, homes and logs are.
        tag: Short name of the bridge and prefix of its namespaces.
        environment: Exported by every host's `.bashrc`.
        hosts: In the order in which they were added.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.tag = f"hs{secrets.token_hex(3)}"
        self._net = f"10.{random.SystemRandom().randrange(160, 250)}.{random.SystemRandom().randrange(1, 250)}"
        self.hosts: list[Host] = []
        for name in ("id", "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        _ip("link", "add", self.tag, "type", "bridge")
        _ip("addr", "add", f"{self.address(254)}/24", "dev", self.tag)
        _ip("link", "set", self.tag, "up")

    @property
    def key(self) -> Path:
        """The ssh key that opens every host."""
        return self.folder / "id"

    def address(self, number: int) -> str:
        """Of a host; 254 is this machine."""
        return f"{self._net}.{number}"

    def add(self, name: str) -> Host:
        """Plug a new host in."""
        host = Host(self, len(self.hosts) + 1, name)
        self.hosts.append(host)
        host.boot()
        return host

    def remove(self) -> None:
        """Everything goes, whatever state it is in."""
        for host in self.hosts:
            host.remove()
        _ip("link", "del", self.tag, check=False)


@contextmanager
def network(folder: Path, **environment: str) -> Iterator[Network]:
    """Hosts for the time of the context; `environment` is exported on each of them."""
    made = Network(folder, environment)
    try:
        yield made
    finally:
        made.remove()


def end_in_order() -> None:
    """Have signals that end this process take its hosts away first, also where a shell had them ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def wait_for_port(address: str, port: int, seconds: float = 120) -> None:
    """Return when something listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens at {address}:{port}") from None
            time.sleep(0.1)
        else:
            return
