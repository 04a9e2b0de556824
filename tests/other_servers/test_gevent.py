"""Programs of greenlets: forks, and gRPC, which cannot live with them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.other_servers.serving import command, running, thread_count
from tests.otlp.receivers import OtlpReceiver
from tests.stack.process import clean_environment

PREAMBLE = """
    from gevent import monkey
    monkey.patch_all()
    import os
    import otelbridge
    from otelbridge import logger
    otelbridge.configure(service_name="green")
    logger.info("warm")
    otelbridge.flush(5)
"""


def run(program: str, receiver: OtlpReceiver, **environ: str) -> str:
    """Run a program that gevent has patched; what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(program)],
        env={**clean_environment(), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_forks_of_a_green_process_send_their_own(otlp_receiver: OtlpReceiver) -> None:
    """
    Children of a process that gevent has patched send what they logged, each as an instance; so does the parent.
    """
    run(
        """
        logger.info("pending")
        children = []
        for number in range(3):
            pid = os.fork()
            if not pid:
                logger.info("child {}", number)
                os._exit(0 if otelbridge.flush(5) else 1)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        """,
        otlp_receiver,
    )

    assert sorted(otlp_receiver.bodies()) == ["child 0", "child 1", "child 2", "pending", "warm"]
    assert len({record.resource["service.instance.id"] for record in otlp_receiver.logs()}) == 4


@pytest.mark.parametrize("options", [[], ["--preload"]])
def test_telemetry_is_greenlets_among_greenlets(
    options: list[str], otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """
    In gunicorn's gevent workers what sends is greenlets as well, though a preloading master had begun with threads.
    """
    environ = {"MYSHOP_CONFIGURES": "1"}
    with running(command("gunicorn", "gevent"), otlp_receiver.endpoint, tmp_path, *options, **environ) as server:
        server.request_of(2)
        expected = server.request_count
        otlp_receiver.wait_for(lambda receiver: len(receiver.spans()) == expected)

        # One more is gevent's own, which resolves names.
        assert all(thread_count(pid) <= 2 for pid in server.pids)


@pytest.mark.parametrize(("protocol", "count"), [("grpc", 1), ("http/protobuf", 0)])
def test_grpc_among_greenlets_is_told_once(protocol: str, count: int) -> None:
    """
    The user reads that gRPC may stop the greenlets; of HTTP there is nothing to be read.
    """
    receiver = OtlpReceiver(protocol)
    try:
        said = run("", receiver, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    finally:
        receiver.close()

    assert said.count("gRPC may stop all greenlets") == count
