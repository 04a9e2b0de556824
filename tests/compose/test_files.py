"""What docker-compose.yml and its layer promise, read by the real Compose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.compose.files import BASE, TEMPO, resolved
from tools.places import ROOT

pytestmark = pytest.mark.required

LAYERS = {"jaeger": (BASE,), "tempo": (BASE, TEMPO)}
# name:version@sha256:digest, the digest where it could be known, or made here
IMAGE = re.compile(r"[a-z/-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?|otelbridge-shop:local")


@pytest.fixture(params=LAYERS, name="project")
def each_project(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The project of each way to stack the files."""
    return resolved(*LAYERS[request.param])


def test_images_pinned(project: dict[str, Any]) -> None:
    """
    Every image has a whole version; `latest` and `3` have none.
    """
    images = {name: service["image"] for name, service in project["services"].items()}

    assert {name: image for name, image in images.items() if not IMAGE.fullmatch(image)} == {}


def test_our_image_is_built_wherever_it_is_needed(project: dict[str, Any]) -> None:
    """
    Whichever services somebody brings up, if only the collector and Grafana: our image is built, and never pulled.
    """
    ours = {name: it for name, it in project["services"].items() if it["image"] == "otelbridge-shop:local"}

    assert "owner" in ours
    assert {name for name, it in ours.items() if "build" not in it or it["pull_policy"] != "never"} == set()


def test_ports_on_loopback(project: dict[str, Any]) -> None:
    """
    No port is published beyond this machine: nothing here asks for a password.
    """
    ports = [port for service in project["services"].values() for port in service.get("ports", [])]

    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}
    assert {service.get("network_mode") for service in project["services"].values()} <= {None, "none"}


def test_published_ports() -> None:
    """
    What the header and the documents name is published, each where its own documentation has it.
    """
    ports = [port for service in resolved(BASE)["services"].values() for port in service.get("ports", [])]

    assert sorted((int(port["published"]), port["protocol"]) for port in ports) == [
        (3000, "tcp"),
        (3100, "tcp"),
        (4317, "tcp"),
        (4318, "tcp"),
        (8000, "tcp"),
        (8125, "udp"),
        (9090, "tcp"),
        (16686, "tcp"),
    ]


def test_limits(project: dict[str, Any]) -> None:
    """
    Every service has a memory limit, and none may gain rights; all but the one that hands out volumes run as somebody.
    """
    for name, service in project["services"].items():
        assert int(service["mem_limit"]) <= 2**30, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    users = {name: service.get("user", "of the image") for name, service in project["services"].items()}
    assert {name for name, user in users.items() if user.startswith("0")} == {"owner"}


def test_restarts(project: dict[str, Any]) -> None:
    """
    Every service comes back after a crash, but for the one whose work ends.
    """
    restarts = {name: service["restart"] for name, service in project["services"].items()}

    assert restarts.pop("owner") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_health_checks_in_our_image_only(project: dict[str, Any]) -> None:
    """
    The others' images have no shell to ask with, so that a health check there would always fail.
    """
    checked = [
        name
        for name, service in project["services"].items()
        if "healthcheck" in service and not service["healthcheck"].get("disable")
    ]

    assert checked == []


def test_volumes_have_owners(project: dict[str, Any]) -> None:
    """
    Each named volume is handed to the user that writes it, before that one starts.
    """
    services = project["services"]
    owner = services["owner"]
    handed = {volume["source"]: Path(volume["target"]).name for volume in owner["volumes"]}
    users = {name: int(user) for name, user in re.findall(r'"(\w+)": (\d+)', owner["command"][-1])}
    writers = {
        volume["source"]: (name, int(service["user"].partition(":")[0]))
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume["type"] == "volume" and name != "owner"
    }

    assert set(project["volumes"]) == set(handed) == set(writers)
    for volume, (name, user) in writers.items():
        assert users[handed[volume]] == user, name
        assert services[name]["depends_on"]["owner"]["condition"] == "service_completed_successfully", name


def test_everything_else_is_read_only(project: dict[str, Any]) -> None:
    """
    Files of the checkout are mounted to be read, and exist: Docker would make a folder of one that does not.
    """
    mounts = [mount for service in project["services"].values() for mount in service.get("volumes", [])]
    bound = [mount for mount in mounts if mount["type"] == "bind"]

    assert bound
    assert {mount.get("read_only") for mount in bound} == {True}
    assert [mount["source"] for mount in bound if not Path(mount["source"]).exists()] == []


def test_shop_is_told_how_metrics_travel() -> None:
    """
    One variable chooses OTLP or StatsD, one the kind of histograms, one the board that opens first.
    """
    by_default = resolved(BASE)["services"]
    chosen = resolved(
        BASE,
        SHOP_METRICS="statsd",
        SHOP_HISTOGRAMS="base2_exponential_bucket_histogram",
        BOARD="service-statsd",
    )["services"]

    aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    assert by_default["shop"]["environment"]["OTELBRIDGE_METRICS"] == "otlp"
    assert by_default["shop"]["environment"][aggregation] == "explicit_bucket_histogram"
    assert chosen["shop"]["environment"]["OTELBRIDGE_METRICS"] == "statsd"
    assert chosen["shop"]["environment"][aggregation] == "base2_exponential_bucket_histogram"
    assert home_board(chosen["grafana"]).name == "service-statsd.json"


@pytest.mark.parametrize("board", ["service", "service-statsd", "service-native"])
def test_home_boards_exist(board: str) -> None:
    """
    The boards that the header names for Grafana's first page are there.
    """
    assert home_board(resolved(BASE, BOARD=board)["services"]["grafana"]).is_file()


def home_board(grafana: dict[str, Any]) -> Path:
    """The board that Grafana opens first, in the checkout."""
    inside = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    (source,) = [mount["source"] for mount in grafana["volumes"] if mount["target"] == str(inside.parent)]
    return Path(source) / inside.name


def test_grafana_has_no_password_and_no_calls_home(project: dict[str, Any]) -> None:
    """
    Nobody logs in, so that there is no default password either; and Grafana asks nothing of the internet.
    """
    environment = project["services"]["grafana"]["environment"]

    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] != "Admin"
    assert not [name for name in environment if "PASSWORD" in name]
    on = ["REPORTING_ENABLED", "CHECK_FOR_UPDATES", "CHECK_FOR_PLUGIN_UPDATES", "NEWS_FEED_ENABLED"]
    assert {name for name in environment if name.endswith(tuple(on)) and environment[name] != "false"} == set()


def test_tempo_takes_jaegers_place() -> None:
    """
    The layer leaves no Jaeger, sends traces to Tempo, and tells Grafana.
    """
    services = resolved(BASE, TEMPO)["services"]

    assert set(resolved(BASE)["services"]) - set(services) == {"jaeger"}
    assert set(services["collector"]["depends_on"]) == {"prometheus", "loki", "tempo"}
    assert services["collector"]["environment"]["OTELBRIDGE_TRACES_ENDPOINT"] == "tempo:4317"
    assert services["grafana"]["environment"]["TRACES_TYPE"] == "tempo"
    assert services["grafana"]["environment"]["TRACES_URL"] == "http://tempo:3200"


def test_image_is_built_of_what_the_wheel_needs() -> None:
    """
    Nothing of the checkout reaches the image's builder but what the wheel is made of.
    """
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }

    assert copied == allowed
