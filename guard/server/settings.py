"""Every option of the server, each one also as an environment variable ``GUARD_<NAME>``; options win."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from guard.address import Address
from guard.errors import InvalidInput, Violation
from guard.types import DEFAULT_ADDRESS, MAX_BATCH_TOKENS, MAX_MESSAGE_BYTES, MAX_QUEUE_TOKENS

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
    return PydanticCustomError("address", "{what}", {"what": what, "cure": cure})


class Settings(BaseSettings):
    """How a server runs. Immutable; made by :meth:`load`."""

    model_config = SettingsConfigDict(env_prefix="GUARD_", env_ignore_empty=True, frozen=True, extra="forbid")

    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(DEFAULT_ADDRESS,),
        min_length=1,
        description="HOST:PORT or unix:PATH; several separated by commas. Port 0 takes a free one.",
    )
    policy: str | None = Field(
        default=None, description="A policy file, a directory of them, or the name of one that ships."
    )
    model: Path | None = Field(default=None, description="An artifact directory; the bundled model if not given.")
    workers: int = Field(
        default_factory=usable_cores, ge=1, le=1024, description="Runs of the model at once; one a core is fastest."
    )
    threads: int = Field(default=1, ge=1, le=1024, description="Threads inside one operator of the model.")
    max_tokens: int | None = Field(default=None, ge=1, description="Limit on the tokens of one text.")
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
        description="Seconds for a call that brings no deadline, and for a slice of a stream.",
    )
    cache_entries: int = Field(
        default=1024, ge=0, le=1 << 20, description="Texts whose scores are remembered; 0 for none."
    )
    max_message_bytes: int = Field(
        default=MAX_MESSAGE_BYTES, ge=1024, le=256 * 1024 * 1024, description="Limit on one request's bytes."
    )
    grace: float = Field(
        default=10.0, ge=0, le=3600, description="Seconds that requests in flight may take after SIGTERM."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["text", "json"] = Field(default="text", description="One line of text or JSON an event.")

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
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidInput(
                Violation(str(e["loc"][0]), e["msg"], e.get("ctx", {}).get("cure", "see guard serve --help"))
                for e in error.errors()
            ) from None
