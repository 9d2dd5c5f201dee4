# SPDX-License-Identifier: MPL-2.0
"""A real RabbitMQ for tests: a private node on loopback, with PulseGuardian's permissions for one user."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from private_ca import PrivateCA
from real_parts import absent

BIN = Path("/usr/lib/rabbitmq/bin")
USER, PASSWORD = "shipit-test", "not-a-secret"


class RabbitMQ:
    """A node of our own. url: of the user who may only what Pulse's users may; admin_url: of a publisher.

    tls_url: of the same user, by TLS as Pulse's: the certificate is for localhost, signed by `ca`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, tls_port, distribution, self._epmd = free_ports(4)
        self._name = f"shipit{os.getpid()}x{self.port}@localhost"
        self.url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/"
        self.tls_url = f"amqps://{USER}:{PASSWORD}@localhost:{tls_port}/"
        self.ca = PrivateCA(folder, "broker-authority")
        certificate, key = self.ca.certify("localhost")
        self.admin_url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": str(folder / "log" / "rabbit.log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(
            "log.file.level = warning\nvm_memory_high_watermark.absolute = 1GB\n"
            f"listeners.ssl.default = 127.0.0.1:{tls_port}\nssl_options.cacertfile = {self.ca.file}\n"
            f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        self._process = subprocess.Popen(
            [BIN / "rabbitmq-server"],
            env=self._environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"AMQP\x00\x00\x09\x01")
                    if probe.recv(1):
                        break
            except OSError:
                pass
            assert self._process.poll() is None, "RabbitMQ ended while starting"
            time.sleep(0.1)
        else:
            raise AssertionError("RabbitMQ did not start within 90 s")
        # it takes connections a moment before it knows its users
        self.ctl("await_startup", "--timeout", "60")

    def add_user(self) -> None:
        """The user as PulseGuardian makes them."""
        self.ctl("add_user", USER, PASSWORD)
        mine = f"^(queue/{USER}/.*|exchange/{USER}/.*)"
        self.ctl("set_permissions", USER, mine, mine, f"^(queue/{USER}/.*|exchange/.*)")

    def ctl(self, *words: str) -> str:
        """rabbitmqctl."""
        done = subprocess.run(
            [BIN / "rabbitmqctl", "-n", self._name, *words],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def signal(self, number: signal.Signals) -> None:
        """A signal for the node itself."""
        os.kill(self.pid(), number)

    def pid(self) -> int:
        """The node's process: the beam below the script that started it."""
        assert self._process is not None
        group = os.getpgid(self._process.pid)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
                if os.getpgid(int(entry.name)) == group and b"beam.smp" in words.split(b"\0")[0]:
                    return int(entry.name)
            except (OSError, ProcessLookupError):
                continue
        raise AssertionError("the node's process is gone")

    def kill(self) -> None:
        """Kill the node as a power cut would."""
        assert self._process is not None
        with_group = os.getpgid(self._process.pid)
        os.killpg(with_group, signal.SIGKILL)
        self._process.wait(timeout=20)

    def stop(self) -> None:
        """Stop the node and its port mapper."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        epmd = shutil.which("epmd") or "epmd"
        subprocess.run(
            [epmd, "-port", str(self._epmd), "-kill"], env=self._environment, capture_output=True, check=False
        )


def free_ports(count: int) -> list[int]:
    """Ports nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A running node; skipped (failed where required) where RabbitMQ is not installed."""
    if not (BIN / "rabbitmq-server").exists():
        absent("rabbitmq", "apt-get install rabbitmq-server")
    node = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    node.start()
    try:
        node.add_user()
        yield node
    finally:
        node.stop()
