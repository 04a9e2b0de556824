# The example shop with otelbridge, and whatever else of the package a container should run.
#
#   docker build --tag otelbridge-shop .
#   docker run --rm --publish 127.0.0.1:8000:8000 --env OTEL_EXPORTER_OTLP_ENDPOINT=http://... otelbridge-shop
#
# Another command runs something else: docker run --rm otelbridge-shop python -m otelbridge.cli.customers URL
# Any image with Python 3.11 or newer, with pip and venv, will do as a base: --build-arg BASE=...
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY otelbridge otelbridge
COPY native native
COPY collector-config collector-config
COPY examples/shop.py examples/shop.py
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# The environment has no pip of its own: nobody installs anything in the container that runs.
RUN python3 -m venv --without-pip /opt/otelbridge \
 && python3 -m pip --python /opt/otelbridge/bin/python install --no-cache-dir "$(echo /wheels/*.whl)[server]"

FROM ${BASE}
COPY --from=build /opt/otelbridge /opt/otelbridge
ENV PATH=/opt/otelbridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
# A connection and no request: what asks whether the service lives is not in its telemetry.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8000), 2).close()"]
CMD ["hypercorn", "--bind", "0.0.0.0:8000", "otelbridge.examples.shop:app"]
