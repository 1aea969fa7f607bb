"""What a server counts, for Prometheus.

The registry is the server's own, so that two servers in one process do not mix. Labels have few values by design: names
of policies and rules come from the operator's files, and nothing comes from a caller. The queue in front of the model
keeps its own plain counters; they are read when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from guard.errors import GuardError
from guard.server.screener import Load
from guard.types import Decision, Direction, Info

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POWERS = (1, 2, 4, 8, 16, 32, 64)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server at one moment.

    Attributes:
        info: What is loaded.
        in_flight: Calls that are being answered, open streams among them.
        streams: Streams that are open.
        load: The queue in front of the model, and the cache.
        log_written: Records that the decision log holds; None if there is no log.
        log_dropped: Records that it had to leave out.
    """

    info: Info
    in_flight: int
    streams: int
    load: Load
    log_written: int | None = None
    log_dropped: int = 0


class Metrics:
    """Counts. Thread-safe; lives as long as its server.

    Attributes:
        registry: Everything that is counted.
    """

    def __init__(self, read: Callable[[], ServerState]) -> None:
        """Count from zero.

        Args:
            read: The server's state; called in the thread of whoever looks.
        """
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "guard_requests", "Decided texts and streams.", ("action", "direction", "policy"), registry=registry
        )
        self._rules = Counter(
            "guard_rules_fired",
            "Rules that fired; a rule in shadow did not act.",
            ("policy", "rule", "action", "shadow"),
            registry=registry,
        )
        self._degraded = Counter(
            "guard_degraded", "Texts that could not be screened: on_error decided.", ("policy",), registry=registry
        )
        self._refused = Counter(
            "guard_refused", "Calls, and items of batches, that got an error.", ("cause",), registry=registry
        )
        seconds = Histogram(
            "guard_phase_seconds", "Seconds per decision and phase.", ("phase",), registry=registry, buckets=_SECONDS
        )
        self._seconds = {phase: seconds.labels(phase) for phase in ("queue", "tokenise", "infer", "decide", "total")}
        self._reloads = Counter(
            "guard_reloads", "What was loaded again while serving.", ("source", "result"), registry=registry
        )
        self._batch_texts = Histogram(
            "guard_batch_texts", "Texts, and pieces of long ones, per batch.", registry=registry, buckets=_POWERS
        )
        self._batch_tokens = Histogram(
            "guard_batch_tokens", "Tokens per batch, padding not counted.", registry=registry, buckets=_TOKENS
        )
        registry.register(_State(read))
        ProcessCollector(registry=registry)

    def decided(self, direction: Direction, decision: Decision) -> None:
        """Count a decision."""
        policy = decision.policy.partition("@")[0]
        self._requests.labels(decision.action.value, direction.value, policy).inc()
        for rule in decision.rules:
            self._rules.labels(policy, rule.id, rule.action.value, str(rule.shadow).lower()).inc()
        if decision.degraded:
            self._degraded.labels(policy).inc()
        timings = decision.timings
        for phase, microseconds in (
            ("queue", timings.queue),
            ("tokenise", timings.tokenise),
            ("infer", timings.infer),
            ("decide", timings.decide),
            ("total", timings.total),
        ):
            self._seconds[phase].observe(microseconds / 1e6)

    def refused(self, error: GuardError) -> None:
        """Count an error that was answered, by its code."""
        self._refused.labels(error.code.lower()).inc()

    def reloaded(self, source: str, ok: bool) -> None:
        """Count an attempt to load something again."""
        self._reloads.labels(source, "ok" if ok else "failed").inc()

    def batch(self, texts: int, tokens: int) -> None:
        """Count a batch that was run: its texts and pieces of texts, and their tokens without padding."""
        self._batch_texts.observe(texts)
        self._batch_tokens.observe(tokens)


class _State:
    """Reads the server's state whenever somebody looks."""

    def __init__(self, read: Callable[[], ServerState]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the registry would read the state for it."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The state now."""
        state = self._read()
        yield GaugeMetricFamily("guard_in_flight", "Calls being answered, open streams among them.", state.in_flight)
        yield GaugeMetricFamily("guard_streams_open", "Open streams.", state.streams)
        model = GaugeMetricFamily("guard_model_info", "The model that is loaded.", labels=("model", "revision"))
        model.add_metric((state.info.model.name, state.info.model.revision), 1)
        yield model
        policies = GaugeMetricFamily("guard_policy_info", "Policies that are loaded.", labels=("policy", "revision"))
        for policy in state.info.policies:
            policies.add_metric((policy.name, policy.revision), 1)
        yield policies
        if state.log_written is not None:
            yield CounterMetricFamily("guard_decision_log_records", "Records written.", state.log_written)
            yield CounterMetricFamily("guard_decision_log_dropped", "Records left out.", state.log_dropped)
        yield from _load(state.load)


def _load(load: Load) -> Iterable[Metric]:
    queue = load.queue
    yield GaugeMetricFamily("guard_queue_tokens", "Tokens that wait for the model.", queue.tokens)
    yield GaugeMetricFamily("guard_running_tokens", "Tokens that the model is running.", queue.running)
    yield CounterMetricFamily("guard_run_tokens", "Tokens run, padding not counted.", queue.batch_tokens)
    yield CounterMetricFamily("guard_padding_tokens", "Tokens run to fill batches up.", queue.padding_tokens)
    rejected = CounterMetricFamily("guard_rejected", "Calls refused or dropped before the model.", labels=("cause",))
    for cause, count in queue.rejected.items():
        rejected.add_metric((cause,), count)
    yield rejected
    yield CounterMetricFamily("guard_cache_hits", "Texts whose scores were known.", load.cache_hits)
    yield CounterMetricFamily("guard_cache_misses", "Texts whose scores were not known.", load.cache_misses)
    yield CounterMetricFamily("guard_unscored", "Texts and slices that got no scores.", load.degraded)
