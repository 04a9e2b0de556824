"""Fixtures of this room that the others do not use."""

from __future__ import annotations

from tests.otlp.receivers import otlp_grpc_receiver

__all__ = ["otlp_grpc_receiver"]
