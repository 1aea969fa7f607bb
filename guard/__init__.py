"""guard: content compliance beside an LLM service.

``Guard`` screens in this process, ``GuardClient`` and ``AsyncGuardClient`` ask a sidecar, ``FakeGuard`` and
``AsyncFakeGuard`` stand in for them in tests. Importing this package is cheap: what needs gRPC or the model's
runtime is loaded when its name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from guard.errors import (
    ArtifactError,
    DeadlineExceeded,
    GuardError,
    InternalError,
    InvalidInput,
    Overloaded,
    PolicyError,
    Unauthenticated,
    Unavailable,
    Violation,
)
from guard.types import (
    Action,
    Content,
    Decision,
    Detection,
    Direction,
    FiredRule,
    Info,
    Operator,
    Origin,
    Rewrite,
    Role,
    Span,
    Turn,
)
from guard.version import __version__

if TYPE_CHECKING:
    from guard.content import make_content
    from guard.sdk.aio import AsyncGuardClient
    from guard.sdk.client import GuardClient
    from guard.sdk.fake import AsyncFakeGuard, FakeGuard
    from guard.sdk.hidden import Placeholders, restore, restore_stream
    from guard.sdk.local import Guard
    from guard.sdk.protocols import AnyAsyncGuard, AnyGuard
    from guard.sdk.stream import AsyncGuardStream, Blocked, GuardStream

_LAZY = {
    "AnyAsyncGuard": "guard.sdk.protocols",
    "AnyGuard": "guard.sdk.protocols",
    "AsyncFakeGuard": "guard.sdk.fake",
    "AsyncGuardClient": "guard.sdk.aio",
    "AsyncGuardStream": "guard.sdk.stream",
    "Blocked": "guard.sdk.stream",
    "FakeGuard": "guard.sdk.fake",
    "Guard": "guard.sdk.local",
    "GuardClient": "guard.sdk.client",
    "GuardStream": "guard.sdk.stream",
    "Placeholders": "guard.sdk.hidden",
    "restore": "guard.sdk.hidden",
    "restore_stream": "guard.sdk.hidden",
    "make_content": "guard.content",
}

__all__ = [
    "Action",
    "AnyAsyncGuard",
    "AnyGuard",
    "ArtifactError",
    "AsyncFakeGuard",
    "AsyncGuardClient",
    "AsyncGuardStream",
    "Blocked",
    "Content",
    "DeadlineExceeded",
    "Decision",
    "Detection",
    "Direction",
    "FakeGuard",
    "FiredRule",
    "Guard",
    "GuardClient",
    "GuardError",
    "GuardStream",
    "Info",
    "InternalError",
    "InvalidInput",
    "Operator",
    "Origin",
    "Overloaded",
    "Placeholders",
    "PolicyError",
    "Rewrite",
    "Role",
    "Span",
    "Turn",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "__version__",
    "make_content",
    "restore",
    "restore_stream",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    # What completion in a shell shows: all of it, loaded or not.
    return sorted({*globals(), *__all__})
