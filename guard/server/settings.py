"""Every option of the server, each one also as an environment variable ``GUARD_<NAME>``; options win."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from guard.address import Address
from guard.errors import InvalidInput, Violation
from guard.policy.suggest import closest
from guard.server.option_errors import option_violation
from guard.types import DEFAULT_ADDRESS, MAX_BATCH_TOKENS, MAX_MESSAGE_BYTES, MAX_QUEUE_TOKENS

_PREFIX = "GUARD_"
#: The decision log's key, where it comes from the environment: a command line shows it to everybody.
KEY_VARIABLE = "GUARD_DECISION_LOG_KEY"
#: Variables of the clients; see :mod:`guard.sdk.credentials`.
_CLIENT_PREFIX = "GUARD_CLIENT_"
# What Kubernetes sets for a Service named guard, in every pod of its namespace.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT.*)$|_PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?$")

# Type of the errors raised here: their context holds the cure.
_MISTAKE = "mistake"

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores this process may use: its affinity, bounded by the container's CPU limit; at least 1."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        # Rounded up: half a core more is better used than left.
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no container, another cgroup version, or the quota is "max"
    return max(1, cores)


def _mistake(what: str, cure: str) -> PydanticCustomError:
    return PydanticCustomError(_MISTAKE, "{what}", {"what": what, "cure": cure})


class Settings(BaseSettings):
    """How a server runs. Immutable; made by :meth:`load`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(DEFAULT_ADDRESS,),
        min_length=1,
        description="HOST:PORT or unix:PATH; several separated by commas. Port 0 takes a free one.",
    )
    policy: str | None = Field(
        default=None, description="A policy file, a directory for several, or the name of one that ships."
    )
    model: Path | None = Field(default=None, description="An artifact directory; the bundled model if not given.")
    workers: int = Field(
        default_factory=usable_cores, ge=1, le=1024, description="Runs of the model at once; one a core is fastest."
    )
    threads: int = Field(default=1, ge=1, le=1024, description="Threads inside one operator of the model.")
    max_tokens: int | None = Field(
        default=None, ge=1, description="Limit on the tokens of one text; a core reads about 8000 a second, see below."
    )
    batching: bool = Field(default=True, description="Let texts of like length share a run where the model allows it.")
    max_batch_tokens: int = Field(
        default=MAX_BATCH_TOKENS, ge=1, le=1 << 20, description="Tokens of one run, padding included."
    )
    max_queue_tokens: int = Field(
        default=MAX_QUEUE_TOKENS, ge=1, le=1 << 30, description="Tokens that may wait; above, calls are refused."
    )
    request_timeout: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds for a call that brings no deadline, and for a stream's opening and each slice.",
    )
    cache_entries: int = Field(
        default=1024, ge=0, le=1 << 20, description="Texts whose scores are remembered; 0 for none."
    )
    max_message_bytes: int = Field(
        default=MAX_MESSAGE_BYTES, ge=1024, le=256 * 1024 * 1024, description="Limit on one request's bytes."
    )
    max_streams: int = Field(default=1000, ge=1, le=1_000_000, description="Streams that may be open at once.")
    stream_timeout: float = Field(
        default=3600.0, gt=0, le=7 * 86400, description="Seconds that a stream may take in all."
    )
    grace: float = Field(
        default=10.0, ge=0, le=3600, description="Seconds that requests in flight may take after SIGTERM."
    )
    watch: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="Seconds between two looks at the files of policies, model, certificates and tokens; 0 is never.",
    )
    socket_mode: str = Field(
        default="600", pattern="^0?[0-7]{3}$", description="File mode of unix sockets, in octal: who may connect."
    )
    token_file: Path | None = Field(
        default=None, description="Bearer tokens, one a line; without one of them health alone answers."
    )
    tls_cert: Path | None = Field(
        default=None, description="Certificate chain in PEM; HOST:PORT addresses speak TLS then."
    )
    tls_key: Path | None = Field(default=None, description="Its private key in PEM.")
    tls_client_ca: Path | None = Field(
        default=None, description="Authorities in PEM; clients need a certificate of theirs then."
    )
    metrics: str | None = Field(
        default=None, description="HOST:PORT of /metrics, /healthz and /readyz over HTTP; none if not given."
    )
    decision_log: Path | None = Field(
        default=None, description="File that gets a record of every decision; - is standard output."
    )
    decision_log_text: bool = Field(default=False, description="Records carry the texts themselves, too.")
    decision_log_key_file: Path | None = Field(
        default=None, description=f"Key that texts are named with, at least 16 bytes; or {KEY_VARIABLE}."
    )
    decision_log_max_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1024, description="Size at which the file is rotated."
    )
    decision_log_files: int = Field(default=5, ge=1, le=1000, description="Files kept in all, FILE, FILE.1 ...")
    decision_log_buffer: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Records that may wait to be written; more are dropped."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["text", "json"] = Field(default="text", description="One line of text or JSON an event.")

    @field_validator("policy", mode="before")
    @classmethod
    def _one_policy(cls, value: object) -> object:
        """The last of several must not win in silence."""
        given = value if isinstance(value, list | tuple) else (value,)
        if len(given) == 1 and isinstance(given[0], str) and not os.path.exists(given[0]):
            given = given[0].split(",")
        if len(given) > 1:
            cure = "give a directory with a file for each, such as strict.yaml with `extends: strict`"
            raise _mistake(f"{len(given)} policies, and one file, name or directory is served", cure)
        return given[0]

    @field_validator("listen", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """An environment variable holds several addresses in one string."""
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            addresses = tuple(map(Address.parse, value))
        except InvalidInput as error:
            (violation,) = error.violations
            raise _mistake(violation.reason, violation.cure) from None
        for address in addresses:
            if addresses.count(address) > 1 and (address.port or address.path):
                raise _mistake(f"{address} is given twice", "give each address once")
        return value

    @field_validator("metrics")
    @classmethod
    def _metrics_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                address = Address.parse(value, "metrics")
            except InvalidInput as error:
                (violation,) = error.violations
                raise _mistake(violation.reason, violation.cure) from None
            if address.path:
                raise _mistake("a unix socket", "give HOST:PORT, such as 127.0.0.1:9464")
        return value

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            lacking = "tls_key" if self.tls_key is None else "tls_cert"
            raise _mistake(f"{lacking} is missing", "give the certificate and its key")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise _mistake("tls_client_ca without a certificate", "give tls_cert and tls_key, too")
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        """``listen``, parsed."""
        return tuple(map(Address.parse, self.listen))

    @classmethod
    def load(cls, **options: object) -> Settings:
        """The settings from options, the environment and the defaults, in this order.

        Args:
            options: Field names and values; None, or an empty list, means not given.

        Raises:
            InvalidInput: Every broken option is named.
        """
        given: dict[str, Any] = {name: value for name, value in options.items() if value not in (None, (), [])}
        found = _unknown_variables(cls.model_fields)
        try:
            settings = cls(**given)
        except ValidationError as error:
            found += [
                cls._violation(str((*e["loc"], "tls")[0]), given, e["type"], e["msg"], e["input"], e.get("ctx", {}))
                for e in error.errors()
            ]
        if found:
            raise InvalidInput(found)
        return settings

    @classmethod
    def _violation(
        cls, name: str, options: Iterable[str], kind: str, message: str, given: object, context: Mapping[str, Any]
    ) -> Violation:
        """One mistake, by the name that the option or the variable has for who gave it."""
        field = cls.model_fields.get(name)
        if field is None:
            return Violation(name, message, context.get("cure", "see guard serve --help"))
        shown = f"--{name.replace('_', '-')}" if name in options else f"{_PREFIX}{name.upper()}"
        if kind == _MISTAKE:
            return Violation(shown, message, context["cure"])
        return option_violation(shown, kind, given, context, field.metadata, field.default)


def _unknown_variables(fields: Iterable[str]) -> list[Violation]:
    """Variables that look like options and are none: a mistyped one would silently leave its default."""
    known = {f"{_PREFIX}{name.upper()}" for name in fields} | {KEY_VARIABLE}
    return [
        Violation(name, "no such option", _near(name, known) or "see guard serve --help, or unset it")
        for name in sorted(os.environ)
        if name.startswith(_PREFIX)
        and not name.startswith(_CLIENT_PREFIX)
        and name not in known
        and not _SERVICE_LINK.search(name)
    ]


def _near(name: str, known: Iterable[str]) -> str:
    """The variable that was meant; what all of them begin with makes none alike."""
    found = closest(name.removeprefix(_PREFIX), (variable.removeprefix(_PREFIX) for variable in known))
    return "" if found is None else f"did you mean {_PREFIX}{found}?"
