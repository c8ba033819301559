"""What an operator watches, in Prometheus' text format. Labels are bounded: never a name or an id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """A registry of its own, so that two servers in one process do not share counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("signoff_requests", "Answered requests", ["route", "status"], registry=self._registry)
        self.waiting = Gauge("signoff_waiting_subjects", "Subjects that somebody waits for", registry=self._registry)
        self.connections = Gauge("signoff_connections", "Open connections", registry=self._registry)
        self.sockets = Gauge("signoff_watch_sockets", "Open watch sockets", registry=self._registry)
        self.streams = Gauge("signoff_event_streams", "Open streams of events", registry=self._registry)
        self.group_size = Histogram(
            "signoff_commit_group_commands",
            "Commands committed together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self._registry,
        )
        self.group_seconds = Histogram(
            "signoff_commit_seconds",
            "Time to commit a group",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
            registry=self._registry,
        )

    def committed(self, size: int, seconds: float) -> None:
        self.group_size.observe(size)
        self.group_seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
