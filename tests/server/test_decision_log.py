"""The decision log: what stands in it, what does not, and what happens where it cannot be written."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guard import GuardClient, InvalidInput, Unavailable
from guard.cli.main import run
from guard.records import Record, read
from guard.server.decision_log import DecisionLog, open_log
from guard.server.log_file import LogFile
from guard.server.settings import Settings
from guard.types import Action, Content, Decision
from tests.serving import sidecar

_ROOT = Path(__file__).resolve().parents[2]
_KEY = b"0123456789abcdef0123456789abcdef"
_SECRET = "wordthatnobodymaylog"


class _Target:
    """Takes lines when the gate is open; may be full."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.gate = threading.Event()
        self.full = False
        self.most = 1000
        self.closed = False

    def write(self, model: str, lines: Sequence[bytes]) -> int:
        self.gate.wait()
        if self.full:
            raise OSError(28, "No space left on device")
        written = lines[: self.most]
        self.lines += written
        return len(written)

    def close(self) -> None:
        self.closed = True


def _decision(model: str = "m@0123456789ab", **fields: Any) -> Decision:
    return Decision(Action.ALLOW, "", (), {"hate": 0.1}, (), "p@0123456789ab", model, 1, 2, "en", **fields)


def _put(log: DecisionLog, text: str = "hello", **fields: Any) -> None:
    mark = log.mark()
    mark.add(text)
    log.put(Content(text), _decision(**fields), mark, text)


def _key_file(directory: Path) -> Path:
    path = directory / "key"
    path.write_bytes(_KEY + b"\n")
    return path


def _hmac(text: str) -> str:
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()


def test_every_decision_is_logged_without_its_text(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """Texts, batches and streams are records with an HMAC and a length; no file holds a word of them; replay reads."""
    path = tmp_path / "decisions.jsonl"
    options = {"decision_log": path, "decision_log_key_file": _key_file(tmp_path), "watch": 0}
    with sidecar(tiny_model_dir, policy_dir, **options) as running:
        with GuardClient(running.address) as client:
            client.screen(f"a bomb {_SECRET}", context=_SECRET, tags={"tenant": "t"}, request_id="r1")
            client.screen_batch([f"one {_SECRET}", "kill"], direction="output", policy="strict")
            assert "*" in "".join(client.screen_stream([f"{_SECRET} call a@exa", "mple.com"]))
        assert running.terminate() == 0
        errors = running.process.stderr.read() if running.process.stderr else ""
    assert _SECRET not in path.read_text()
    assert _SECRET not in errors
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records = list(read(path))
    assert [record.action.value for record in records] == ["block", "allow", "block", "rewrite"]
    texts = [f"a bomb {_SECRET}", f"one {_SECRET}", "kill", f"{_SECRET} call a@example.com"]
    assert [(record.text_hash, record.characters) for record in records] == [(_hmac(t), len(t)) for t in texts]
    assert {(record.text, record.output_text) for record in records} == {(None, None)}
    assert {len(record.hash_key) for record in records} == {8}
    assert (records[0].request_id, records[0].tags) == ("r1", {"tenant": "t"})
    assert records[3].detections[0].category == "pii.email"
    assert len({record.id for record in records}) == len(records)
    assert run(["policy", "replay", str(policy_dir / "default.yaml"), "--log", str(path), "--format", "json"]) == 0


def test_replay_of_the_log_decides_as_was_logged(
    tiny_model_dir: Path, policy_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`guard policy replay` of a log with the policy that wrote it changes nothing; a stricter one shows its blocks."""
    path = tmp_path / "decisions.jsonl"
    with (
        sidecar(tiny_model_dir, policy_dir, decision_log=path) as running,
        GuardClient(running.address) as client,
    ):
        for text in ("hello", "a bomb", "kill the process"):
            client.screen(text)
        list(client.screen_stream(["kill ", "the process"]))
        assert running.terminate() == 0
    replay = ["policy", "replay", "--log", str(path), "--format", "json"]
    assert run([*replay, str(policy_dir / "default.yaml"), "--exit-code"]) == 0
    same = json.loads(capfd.readouterr().out)
    assert (same["records"], same["changed"]) == (4, 0)
    assert run([*replay, str(policy_dir / "strict.yaml")]) == 0
    # Both "kill" are blocked now, and the bomb is not.
    assert json.loads(capfd.readouterr().out)["changed"] == 3


def test_texts_are_logged_where_the_operator_wants_them(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """With decision_log_text a record carries the text, and what was passed on where that is another one."""
    path = tmp_path / "decisions.jsonl"
    options = {"decision_log": path, "decision_log_text": "true"}
    with sidecar(tiny_model_dir, policy_dir, **options) as running:
        with GuardClient(running.address) as client:
            client.screen("hello")
            client.screen("call a@example.com", direction="output")
            list(client.screen_stream(["call a@exa", "mple.com"]))
            list(client.screen_stream(["hello ", "world"]))
        assert running.terminate() == 0
    assert [(record.text, record.output_text) for record in read(path)] == [
        ("hello", None),
        ("call a@example.com", "call *************"),
        ("call a@example.com", "call *************"),
        ("hello world", None),
    ]


def test_standard_output_takes_records(tiny_model_dir: Path, policy_dir: Path) -> None:
    """With - the records stand on standard output, behind the ready line, all of them once the process has ended."""
    with sidecar(tiny_model_dir, policy_dir, decision_log="-") as running:
        with GuardClient(running.address) as client:
            for _ in range(30):  # no more than a pipe holds that nobody reads yet
                client.screen("hello")
        assert running.terminate() == 0
        assert running.process.stdout is not None
        lines = running.process.stdout.read().splitlines()
    assert [Record.from_json(line).action for line in lines] == [Action.ALLOW] * 30


def test_a_slow_disk_costs_records_and_no_time() -> None:
    """Where nothing can be written the buffer fills, what is over it is counted as dropped, and nobody waits."""
    target = _Target()
    log = DecisionLog(target, _KEY, buffer=5)
    for _ in range(300):
        _put(log)
    assert log.dropped > 0
    target.gate.set()
    log.close(60)
    assert log.written + log.dropped == 300
    assert len(target.lines) == log.written >= 5
    assert target.closed


def test_a_full_disk_drops_until_it_has_room(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be written is counted and said once; later records are written again."""
    target = _Target()
    target.gate.set()
    target.full = True
    log = DecisionLog(target, _KEY)
    _put(log)
    _put(log)
    while log.dropped < 2:
        pass
    assert caplog.text.count("No space left on device") == 1
    target.full = False
    _put(log)
    log.close(60)
    assert (log.written, log.dropped) == (1, 2)


def test_large_texts_are_not_kept_without_bound() -> None:
    """With texts on, a text of over a million characters is named and not kept, and waiting texts are bounded."""
    target = _Target()
    log = DecisionLog(target, _KEY, keep_text=True)
    for _ in range(200):
        _put(log, "x" * 1_000_000)
    # As many may wait, and the writer may have taken as many before.
    assert log.dropped >= 200 - 2 * 35
    _put(log, "hello")
    target.gate.set()
    log.close(60)
    mark = log.mark()
    mark.add("x" * 600_000)
    mark.add("y" * 600_000)
    assert (mark.text, mark.characters) == (None, 1_200_000)


def test_what_comes_after_the_end_is_dropped() -> None:
    """A record that comes when the log is closed is counted, and fails nobody."""
    target = _Target()
    target.gate.set()
    log = DecisionLog(target, _KEY)
    log.close(60)
    _put(log)
    assert (log.written, log.dropped) == (0, 1)


def _line(number: int, model: str = "m@0123456789ab") -> bytes:
    return json.dumps({"n": number, "model": model}).encode() + b"\n"


def _numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_files_are_rotated_by_size(tmp_path: Path) -> None:
    """A file that would grow too large becomes FILE.1, the older ones move on, and the oldest goes."""
    path = tmp_path / "d.jsonl"
    size = len(_line(0))
    log = LogFile(path, max_bytes=2 * size, files=3)
    for number in range(9):
        log.write("m@0123456789ab", [_line(number)])
    log.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.jsonl", "d.jsonl.1", "d.jsonl.2"]
    assert [_numbers(tmp_path / name) for name in ("d.jsonl", "d.jsonl.1", "d.jsonl.2")] == [[8], [6, 7], [4, 5]]


def test_one_file_is_begun_anew(tmp_path: Path) -> None:
    """With a single file the old lines go when it is full."""
    path = tmp_path / "d.jsonl"
    log = LogFile(path, max_bytes=len(_line(0)), files=1)
    for number in range(3):
        log.write("m@0123456789ab", [_line(number)])
    log.close()
    assert [file.name for file in tmp_path.iterdir()] == ["d.jsonl"]
    assert _numbers(path) == [2]


def test_a_file_holds_one_model(tmp_path: Path) -> None:
    """Another model begins another file, also after a restart: replay compares the scores of one model only."""
    path = tmp_path / "d.jsonl"
    log = LogFile(path, max_bytes=10_000, files=5)
    log.write("a@0123456789ab", [_line(0, "a@0123456789ab")])
    log.write("b@0123456789ab", [_line(1, "b@0123456789ab")])
    log.close()
    again = LogFile(path, max_bytes=10_000, files=5)
    again.write("b@0123456789ab", [_line(2, "b@0123456789ab")])
    again.write("c@0123456789ab", [_line(3, "c@0123456789ab")])
    again.close()
    assert [_numbers(tmp_path / name) for name in ("d.jsonl", "d.jsonl.1", "d.jsonl.2")] == [[3], [1, 2], [0]]


@pytest.mark.parametrize("torn", [b'{"n": 1, "mo', b"x" * 200_000])
def test_a_torn_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    """What a killed process left behind of a line is removed, so that every line is a record."""
    path = tmp_path / "d.jsonl"
    path.write_bytes(_line(0) + torn)
    log = LogFile(path, max_bytes=1_000_000, files=5)
    log.write("m@0123456789ab", [_line(2)])
    log.close()
    assert _numbers(path) == [0, 2]


def _log_file(path: Path, *, max_bytes: int = 1_000_000, files: int = 5) -> LogFile:
    return LogFile(path, max_bytes=max_bytes, files=files)


def test_lines_of_one_write_are_parted_by_the_size(tmp_path: Path) -> None:
    """Of many lines at once those are written that have room; one that is larger than a file has one of its own."""
    path = tmp_path / "d.jsonl"
    log = _log_file(path, max_bytes=2 * len(_line(0)))
    lines = [_line(number) for number in range(5)] + [_line(10**100), _line(6)]
    while lines:
        lines = lines[log.write("m@0123456789ab", lines) :]
    log.close()
    files = ("d.jsonl.3", "d.jsonl.2", "d.jsonl.1", "d.jsonl")
    assert [_numbers(tmp_path / name) for name in files] == [[2, 3], [4], [10**100], [6]]


def test_a_file_that_somebody_else_empties_goes_on(tmp_path: Path) -> None:
    """Who copies the file and empties it (copytruncate) loses nothing, and finds no hole where the old lines were."""
    path = tmp_path / "d.jsonl"
    log = _log_file(path, max_bytes=3 * len(_line(0)))
    log.write("m@0123456789ab", [_line(0), _line(1)])
    os.truncate(path, 0)
    assert log.write("m@0123456789ab", [_line(2), _line(3), _line(4)]) == 3  # its size is the real one
    log.close()
    assert _numbers(path) == [2, 3, 4]
    assert b"\0" not in path.read_bytes()


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """Who moves the file away needs to tell nobody: the next lines go to the path again."""
    path = tmp_path / "d.jsonl"
    log = _log_file(path)
    log.write("m@0123456789ab", [_line(0)])
    os.replace(path, tmp_path / "moved")
    log.write("m@0123456789ab", [_line(1)])
    log.close()
    assert (_numbers(tmp_path / "moved"), _numbers(path)) == ([0], [1])


def test_what_would_go_into_a_deleted_file_is_not_written(tmp_path: Path) -> None:
    """A deleted file is begun anew; where its directory is gone lines are refused, until it is there again."""
    path = tmp_path / "logs" / "d.jsonl"
    path.parent.mkdir()
    log = _log_file(path)
    log.write("m@0123456789ab", [_line(0)])
    path.unlink()
    log.write("m@0123456789ab", [_line(1)])
    assert _numbers(path) == [1]
    shutil.rmtree(path.parent)
    with pytest.raises(FileNotFoundError):
        log.write("m@0123456789ab", [_line(2)])
    path.parent.mkdir()
    log.write("m@0123456789ab", [_line(3)])
    log.close()
    assert _numbers(path) == [3]


def test_a_file_that_cannot_be_rotated_grows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the older file cannot be replaced nothing is lost: the file grows, it is said once, and tried again."""
    path = tmp_path / "d.jsonl"
    in_the_way = tmp_path / "d.jsonl.1"
    (in_the_way / "something").mkdir(parents=True)
    size = len(_line(0))
    log = _log_file(path, max_bytes=2 * size, files=2)
    for number in range(8):
        log.write("m@0123456789ab", [_line(number)])
    assert _numbers(path) == list(range(8))
    assert caplog.text.count("cannot be rotated: Is a directory (it grows") == 1
    shutil.rmtree(in_the_way)
    log.write("m@0123456789ab", [_line(8)])
    log.close()
    assert (_numbers(in_the_way), _numbers(path)) == (list(range(8)), [8])


def test_files_beyond_a_gap_stay(tmp_path: Path) -> None:
    """Rotation moves files up to the first number that is free, so that a failing one does not push others out."""
    path = tmp_path / "d.jsonl"
    (tmp_path / "d.jsonl.2").write_bytes(_line(7))
    log = _log_file(path, max_bytes=len(_line(0)), files=4)
    for number in range(2):
        log.write("m@0123456789ab", [_line(number)])
    log.close()
    names = ("d.jsonl", "d.jsonl.1", "d.jsonl.2")
    assert [_numbers(tmp_path / name) for name in names] == [[1], [0], [7]]


@contextmanager
def _disk_of(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_line_is_broken_where_the_disk_is_full(tmp_path: Path) -> None:
    """Of lines that only partly have room the whole ones stay and count; the part of the next is removed at once."""
    path = tmp_path / "d.jsonl"
    log = _log_file(path, max_bytes=100_000_000)
    lines = [json.dumps({"n": n, "model": "m@0123456789ab", "x": "x" * 300_000}).encode() + b"\n" for n in range(5)]
    with _disk_of(1_000_000):
        assert log.write("m@0123456789ab", lines) == 3
        assert _numbers(path) == [0, 1, 2]
        with pytest.raises(OSError, match="too large"):
            log.write("m@0123456789ab", lines[3:])
        assert _numbers(path) == [0, 1, 2]
    assert log.write("m@0123456789ab", lines[3:]) == 2
    log.close()
    assert _numbers(path) == [0, 1, 2, 3, 4]


def test_lines_that_are_written_in_parts_count_once() -> None:
    """A target that takes some lines of a batch is given the rest."""
    target = _Target()
    log = DecisionLog(target, _KEY)
    for number in range(10):
        _put(log, str(number))
    target.most = 3
    target.gate.set()
    log.close(60)
    assert (log.written, log.dropped) == (10, 0)
    assert len({Record.from_json(line.decode()).text_hash for line in target.lines}) == 10


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    """A second guard on the same file is refused by name; when the first has closed it, or died, it is free."""
    path = tmp_path / "d.jsonl"
    log = _log_file(path)
    with pytest.raises(Unavailable, match=r"decision_log: .*d\.jsonl is written by another process \(give every"):
        open_log(Settings.load(decision_log=path))
    log.write("m@0123456789ab", [_line(0)])
    log.close()
    _log_file(path).close()
    code = (
        "import os, pathlib, guard.server.log_file as f\n"
        f"log = f.LogFile(pathlib.Path({str(path)!r}), max_bytes=1000, files=1)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT).returncode == -9
    again = _log_file(path)
    again.write("m@0123456789ab", [_line(1)])
    again.close()
    assert _numbers(path) == [0, 1]


def test_the_log_must_be_writable_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be written and a key that is too short or missing are told before anything is decided."""
    monkeypatch.delenv("GUARD_DECISION_LOG_KEY", raising=False)
    with pytest.raises(Unavailable, match=r"decision_log: .*d\.jsonl cannot be written: No such file"):
        open_log(Settings.load(decision_log=tmp_path / "no" / "d.jsonl"))
    with pytest.raises(InvalidInput, match=r"decision_log_key_file: .* cannot be read"):
        open_log(Settings.load(decision_log=tmp_path / "d.jsonl", decision_log_key_file=tmp_path / "no"))
    monkeypatch.setenv("GUARD_DECISION_LOG_KEY", "short")
    with pytest.raises(InvalidInput, match="GUARD_DECISION_LOG_KEY: 5 bytes, a key has at least 16") as caught:
        open_log(Settings.load(decision_log=tmp_path / "d.jsonl"))
    assert "short" not in str(caught.value).replace("too short", "")


def test_the_key_of_the_environment_names_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key of the environment or of a file gives the same names; without a key each run has its own."""
    monkeypatch.delenv("GUARD_DECISION_LOG_KEY", raising=False)

    def name(**options: object) -> str:
        log = open_log(Settings.load(decision_log=tmp_path / "d.jsonl", **options))
        assert log is not None
        mark = log.mark()
        mark.add("hel")
        mark.add("lo")
        log.close(60)
        return mark.hash

    assert name(decision_log_key_file=_key_file(tmp_path)) == _hmac("hello")
    assert name() != name()
    monkeypatch.setenv("GUARD_DECISION_LOG_KEY", _KEY.decode())
    assert name() == _hmac("hello")


def test_a_reader_that_does_not_read_holds_up_nobody(tiny_model_dir: Path, policy_dir: Path) -> None:
    """Where standard output is a full pipe every request is answered, drops are counted, and the end is in order."""
    with sidecar(tiny_model_dir, policy_dir, decision_log="-", decision_log_buffer=10) as running:
        with GuardClient(running.address) as client:
            for _ in range(4):
                assert len(client.screen_batch(["hello"] * 256)) == 256
        assert running.terminate() == 0
        assert running.logged("records were dropped")
