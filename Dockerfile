# syntax=docker/dockerfile:1

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY guard guard
COPY policies policies
# --no-compile: byte code would double the size of the Python parts for a faster start that a sidecar does not need.
RUN python -m venv --without-pip /opt/guard \
    && python -m pip --python /opt/guard/bin/python install --no-cache-dir --no-compile .

FROM python:3.12-slim-bookworm
COPY --from=build /opt/guard /opt/guard
ENV PATH=/opt/guard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GUARD_LISTEN=0.0.0.0:50061 \
    ORT_DISABLE_TELEMETRY=1
# A number, so that Kubernetes' runAsNonRoot can check it.
USER 10001:10001
EXPOSE 50061
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import grpc; from grpc_health.v1 import health_pb2 as m, health_pb2_grpc as s; c = grpc.insecure_channel('127.0.0.1:50061'); assert s.HealthStub(c).Check(m.HealthCheckRequest(), timeout=3).status == 1"]
ENTRYPOINT ["guard"]
CMD ["serve"]
