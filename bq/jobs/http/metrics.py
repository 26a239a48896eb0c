"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bq.jobs.http.deployed import Serving

TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = ("/v1/score", "/v1/explain", "/v1/champion", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.25, 1.0, 5.0, 30.0)  # seconds


class Metrics:
    """Counters of one server. Names and units: docs/serving.md."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.requests = Counter("bq_requests", "Requests answered", ["path", "status"], registry=own)
        self.seconds = Histogram("bq_request_seconds", "Time to an answer", ["path"], buckets=BUCKETS, registry=own)
        self.rows = Counter("bq_rows", "Rows decided on", ["tier"], registry=own)
        self.outside = Counter("bq_rows_outside_support", "Rows outside the training support", registry=own)
        self.swaps = Counter("bq_model_swaps", "Changes of what is deployed", registry=own)
        self.deployed = Gauge("bq_model", "1 for the model that decides", ["tier", "model_id"], registry=own)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; all unknown paths as one."""
        path = path if path in PATHS else "other"
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def decides(self, serving: Serving) -> None:
        """Say which model decides."""
        self.deployed.clear()
        tier, model = serving.models.first
        self.deployed.labels(tier.name.lower(), model.model_id if model else "none").set(1)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
