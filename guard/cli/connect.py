"""What a command asks: a guard in this process, or a sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guard.address import callable_address
from guard.errors import InvalidInput
from guard.sdk.protocols import AnyGuard
from guard.types import Content, Decision


@dataclass(frozen=True, slots=True)
class Connection:
    """An open guard and the name of the policy that it is to decide with; empty for its default."""

    guard: AnyGuard
    policy: str

    def screen(self, content: Content) -> Decision:
        """Decide about one checked content, which brings its own policy.

        Raises:
            GuardError: As the guard's ``screen``.
        """
        return self.guard.screen(
            content.text,
            content.direction,
            content.context,
            content.policy,
            content.tags,
            origin=content.origin,
            request_id=content.request_id,
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server is shown, as the options say it: None where they do not."""

    tls: bool | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    allow_insecure_token: bool | None = None

    @property
    def given(self) -> bool:
        """True if any of the options is."""
        return any((self.tls, self.ca, self.cert, self.key, self.token_file, self.allow_insecure_token))


_NOTHING = Shown()


@contextmanager
def connect(
    model: Path | None, policy: str | None, server: str | None, shown: Shown = _NOTHING, *, timeout: float = 30.0
) -> Iterator[Connection]:
    """Open what the options ask for.

    Args:
        model: ``--model``.
        policy: ``--policy``: a file or a shipped name in process, a name at a server.
        server: ``--server``; None for a guard in this process.
        shown: What the server is shown; nothing where there is no server.
        timeout: Seconds that a call to the server may take.

    Raises:
        InvalidInput: Options that exclude each other, no address, or a policy that there is not.
        PolicyError: The policy has mistakes.
        ArtifactError: The model cannot be used.
    """
    # Imported here: a command that needs neither model nor server starts without their weight.
    if server is None:
        if shown.given:
            cure = "give --server, or leave out --tls, --ca, --cert, --key and --token-file"
            raise InvalidInput.of("--server", "missing beside options that are for it", cure)
        from guard.sdk.local import Guard

        with Guard(model=model, policy=policy) as guard:
            yield Connection(guard, "")
        return
    if model is not None:
        raise InvalidInput.of("--model", "a server has its own model", "leave out --model or --server")
    if policy is not None and Path(policy).suffix in {".yaml", ".yml"}:
        cure = f"give the name of one of its policies; `guard info --server {server}` lists them"
        raise InvalidInput.of("--policy", "a server decides with its own policies", cure)
    address = callable_address(server, "--server")
    from guard.sdk.client import GuardClient

    with GuardClient(
        address,
        timeout=timeout,
        tls=shown.tls,
        ca=shown.ca,
        cert=shown.cert,
        key=shown.key,
        token=shown.token_file,
        allow_insecure_token=shown.allow_insecure_token,
    ) as client:
        yield Connection(client, policy or "")
