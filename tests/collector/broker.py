"""A real Kafka broker as a child process: one node with its own controller (KRaft), on free loopback ports."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

from tests.collector.real import free_ports, wait_until

START_TIMEOUT_S = 60.0


class Broker:
    """One broker; `stop()` or `kill()` and `start()` may alternate, on the same ports and the same folder."""

    def __init__(self, jars: Path, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._classes = str(jars / "*")
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port, controller_port = free_ports(2)
        (folder / "server.properties").write_text(properties(self.port, controller_port), "utf-8")
        cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        self._run("kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties").wait(60)

    def start(self) -> None:
        """Start, and return when it serves."""
        self._log.write_bytes(b"")
        self._process = self._run("kafka.Kafka", "server.properties")
        wait_until(lambda: "Kafka Server started" in self.said(), START_TIMEOUT_S, self.said)

    def stop(self) -> None:
        """Stop as a service manager would."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """All it has printed since it was started."""
        return self._log.read_text("utf-8", "replace")

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["java", "-Xmx384m", "-Xms128m", "-cp", self._classes, program, *arguments]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def properties(port: int, controller_port: int) -> str:
    """The broker's configuration: what a cluster of one needs, and four partitions for gateways to share."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=data
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
"""
