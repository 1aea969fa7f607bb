"""One server a unix socket, however many start at once."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from guard import GuardClient, Unavailable
from guard.address import Address
from guard.server.lock import SocketLock
from tests.serving import start

_ROOT = Path(__file__).resolve().parents[2]


def test_servers_that_start_together_do_not_share_a_socket(
    tiny_model_dir: Path, policy_dir: Path, tmp_path: Path
) -> None:
    """Of two that start at once one answers; the other ends with the error of a taken address and leaves it alone."""
    address = f"unix:{tmp_path / 'guard.sock'}"
    processes = [start(tiny_model_dir, policy_dir, address) for _ in range(2)]
    try:
        lines = [process.stdout.readline() if process.stdout else "" for process in processes]
        assert sorted(map(bool, lines)) == [False, True]
        winner, loser = sorted(processes, key=lambda process: not lines[processes.index(process)])
        _, errors = loser.communicate(timeout=60)
        assert errors.splitlines()[-1].startswith(f"guard.errors.Unavailable: {address} is already in use (")
        with GuardClient(address, timeout=30) as client:
            assert client.screen("hello").allowed
        winner.terminate()
        assert winner.wait(60) == 0
        assert list(tmp_path.iterdir()) == []
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_dead_server_holds_no_lock(tmp_path: Path) -> None:
    """What a killed process left behind hinders nobody; the lock has the mode of the socket and goes at the end."""
    path = tmp_path / "guard.sock"
    code = (
        "import os, guard.address, guard.server.lock as l\n"
        f"lock = l.SocketLock(guard.address.Address(path={str(path)!r}), 0o600)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT).returncode == -9
    assert [file.name for file in tmp_path.iterdir()] == ["guard.sock.lock"]
    lock = SocketLock(Address(path=str(path)), 0o660)
    assert stat.S_IMODE((tmp_path / "guard.sock.lock").stat().st_mode) == 0o660
    with pytest.raises(Unavailable, match=r"guard\.sock is already in use"):
        SocketLock(Address(path=str(path)), 0o660)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Where the lock's file cannot be opened the error says which file and why; a link is not followed."""
    (tmp_path / "guard.sock.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match=r"guard\.sock\.lock: Too many levels of symbolic links \(give --listen"):
        SocketLock(Address(path=str(tmp_path / "guard.sock")), 0o600)
    assert not (tmp_path / "elsewhere").exists()
