"""A sidecar that the tests of a module share, and its raw stub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.serving import Sidecar, sidecar, write_policies


@pytest.fixture(scope="session")
def policy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies."""
    return write_policies(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def served(tiny_model_dir: Path, policy_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with the tiny model at a free port and at a unix socket; small limits."""
    socket = tmp_path_factory.mktemp("run") / "guard.sock"
    limits = {"max_tokens": 200, "max_message_bytes": 100_000}
    with sidecar(tiny_model_dir, policy_dir, "127.0.0.1:0", f"unix:{socket}", **limits) as running:
        yield running


@pytest.fixture(scope="module")
def channel(served: Sidecar) -> Iterator[grpc.Channel]:
    """A channel to the sidecar."""
    with grpc.insecure_channel(served.address) as opened:
        yield opened
