"""Who is speaking: the resource and the scope, as the SDK wants them and as bytes. Sends nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource

from otelbridge.otlp.settings import Settings
from otelbridge.scope import SCOPE_NAME, scope_version


def make_resource(settings: Settings) -> Resource:
    """Merge what the user said over what the SDK finds out (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, detectors)."""
    said: dict[str, Any] = {"telemetry.distro.name": SCOPE_NAME, "telemetry.distro.version": scope_version()}
    said |= settings.resource
    if settings.service_name is not None:
        said["service.name"] = settings.service_name
    return Resource.create(said)


def is_service_named(resource: Resource) -> bool:
    """Whether anybody gave the service a name; the SDK makes one up otherwise."""
    return not str(resource.attributes.get("service.name", "")).startswith("unknown_service")


# By process id: a forked child is another instance.
_INSTANCE_IDS: dict[int, str] = {}


class ProcessIdentity:
    """The part of the resource that each process, forks included, has of its own."""

    def __init__(self, settings: Settings) -> None:
        pairs = (pair.partition("=") for pair in settings.environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
        users = {name.strip() for name, _, _ in pairs} | set(settings.resource)
        self._ours = {"service.instance.id", "process.pid"} - users
        self._attributes: dict[int, Mapping[str, Any]] = {}

    def attributes(self) -> Mapping[str, Any]:
        """The attributes of this very process, without those that the user fixed."""
        pid = os.getpid()
        if pid not in self._attributes:
            # However often it is configured, a process is one instance. Several workers may come here at once: the
            # first one's identity is the one for all.
            own = {"service.instance.id": _INSTANCE_IDS.setdefault(pid, str(uuid.uuid4())), "process.pid": pid}
            self._attributes.setdefault(pid, {name: own[name] for name in own if name in self._ours})
        return self._attributes[pid]

    def stamp(self, message: ResourceMessage) -> None:
        """Write these attributes over those in an encoded resource (the SDK's may be the parent's)."""
        own = self.attributes()
        kept = [pair for pair in message.attributes if pair.key not in own]
        del message.attributes[:]
        message.attributes.extend(kept)
        message.attributes.extend(_pair(name, value) for name, value in own.items())


def resource_field(resource: Resource, identity: ProcessIdentity) -> bytes:
    """The `resource` field of ResourceLogs: tag, length and content."""
    message = ResourceMessage(attributes=[_pair(name, value) for name, value in resource.attributes.items()])
    identity.stamp(message)
    return ResourceLogs(resource=message).SerializeToString()


def scope_field() -> bytes:
    """The `scope` field of ScopeLogs: tag, length and content."""
    return ScopeLogs(scope=InstrumentationScope(name=SCOPE_NAME, version=scope_version())).SerializeToString()


def _pair(name: str, value: Any) -> KeyValue:
    return KeyValue(key=name, value=_any_value(value))


def _any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if -(2**63) <= value < 2**63 else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return AnyValue(array_value=ArrayValue(values=[_any_value(item) for item in value]))
    return AnyValue(string_value=str(value).encode("utf-8", "replace").decode())
