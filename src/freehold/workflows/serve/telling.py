"""What a project says of its gateway's log, its spans, and how long answers may take to finish."""

from __future__ import annotations

from typing import Any

from freehold.gateway.telemetry.request_log import check_spans
from freehold.workflows.project import Project


def telling(project: Project) -> dict[str, Any]:
    """Fields of `GatewayConfig` by the file and the settings.

    Raises `MissingExtraError` where spans cannot be sent, and `ConfigError` where a collector's header has no value.
    """
    telemetry, settings = project.config.telemetry, project.settings
    otel = settings.otel or telemetry.otlp_endpoint is not None
    if otel:
        check_spans(telemetry.otlp_headers_env)
    return {
        "drain_s": project.config.serve.drain_s,
        "log_requests": settings.log_requests,
        "otel": otel,
        "otlp_endpoint": telemetry.otlp_endpoint,
        "otlp_headers_env": telemetry.otlp_headers_env,
    }
