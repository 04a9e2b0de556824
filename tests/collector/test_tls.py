"""The settings that are off, switched on: TLS both ways between agent and gateway, with real certificates."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.collector import sender
from tests.collector.real import LAYERS, SHIPPED, Collector, wait_until

CERTIFICATES = ("server", "agent")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority (ca.crt) and certificates that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on PATH; it makes the certificates")
    openssl(tmp_path, "req", "-x509", *new_key("ca"), "-subj", "/CN=authority", "-days", "1", "-out", "ca.crt")
    for name in CERTIFICATES:
        openssl(tmp_path, "req", *new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1")
        authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1")
        openssl(tmp_path, "x509", "-req", "-in", f"{name}.csr", *authority, "-extfile", "names", "-out", f"{name}.crt")
    return tmp_path


def new_key(name: str) -> tuple[str, ...]:
    """Options that make a private key without a passphrase."""
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def openssl(folder: Path, *arguments: str) -> None:
    """Run it in the folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


def switched_on(folder: Path, layer: str, setting: str) -> Path:
    """A shipped layer with the settings of these names on, and its certificates from the folder."""
    text = re.sub(rf"(?m)^( *)#(?=(?:{setting}):)", r"\1", (SHIPPED / f"{layer}.yaml").read_text("utf-8"))
    file = folder / f"{layer}.yaml"
    file.write_text(text.replace("/etc/otelcol/tls", str(folder)), "utf-8")
    return file


@pytest.mark.parametrize("known", [True, False], ids=["with a certificate", "without"])
def test_only_agents_with_a_certificate_are_let_in(collector_binary: Path, folder: Path, known: bool) -> None:
    """With client_ca_file at the gateway, records of an agent with a certificate arrive; others stay in its queue."""
    base = switched_on(folder, "base", "tls")
    gateway = Collector(collector_binary, folder / "gateway", configs=(base, LAYERS / "file.yaml"))
    agent = Collector(
        collector_binary,
        folder / "agent",
        configs=(SHIPPED / "base.yaml", switched_on(folder, "agent", "cert_file|key_file" if known else "none")),
        OTELBRIDGE_GATEWAY_ENDPOINT=f"127.0.0.1:{gateway.grpc_port}",
        OTELBRIDGE_GATEWAY_INSECURE="false",
        OTELBRIDGE_GATEWAY_CA_FILE=str(folder / "ca.crt"),
        OTELBRIDGE_QUEUE_FOLDER=str(folder / "queue"),
    )
    try:
        gateway.start()
        agent.start()
        assert sender.post(agent.http_port, sender.numbered([1])) == 200
        if known:
            gateway.wait_for(lambda c: len(c.records()) == 1)
        else:
            wait_until(lambda: "Exporting failed. Will retry" in agent.said(), 20, agent.said)
            assert gateway.records() == []
    finally:
        agent.kill()
        gateway.stop()
