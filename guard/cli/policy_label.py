"""``guard policy label``: a person judges recorded texts, the most doubtful first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from os import SEEK_END
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO

import typer

from guard.cli.done import Done, read_done
from guard.cli.output import printable, say, write_line
from guard.cli.policy_report import RECORDS
from guard.errors import InvalidInput
from guard.records import Record

if TYPE_CHECKING:
    from guard.policy.label import Doubtful, Queue
    from guard.policy.policy import Policy

_ASK = "compliant? y, n, a category, s skip, b back, q quit, ? help"


def label(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or the name of one that ships.")],
    records: Annotated[Path, typer.Option("--records", metavar="FILE", help=f"{RECORDS}, with their texts.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Where the judged records go; a second run goes on there.")
    ],
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="ID", help="Go by this rule alone; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
) -> None:
    """Judge recorded texts in the terminal, those nearest to a threshold first.

    y says that a text is compliant, n that it is not, a category (its name or number, or several) that it is not and
    why; s leaves it for another time, b takes the last answer back, q ends, ? shows the categories. Each answer is
    written at once, as a record with its label, so that eval and tune can read the file.

    Exit codes: 0 fine, 2 bad usage or input.
    """
    # Imported here: the other commands start without it.
    from guard.policy.label import doubtful_first
    from guard.policy.load import load_policy, resolve_policy
    from guard.policy.record_file import RecordFile

    loaded = load_policy(resolve_policy(policy))
    _check_rules(loaded, rule or [])
    if output.exists() and records.exists() and output.samefile(records):
        raise InvalidInput.of("--output", "is the file of records", "give another file")
    with records.open("rb") as lines:
        if not lines.seekable():
            raise InvalidInput.of("--records", "cannot be read twice", "give a file, not a pipe")
        notes: list[str] = []
        done = read_done(output)
        file = RecordFile(records, lines, notes, Record.from_json)
        queue = doubtful_first(loaded, file.records(), done.ids.__contains__, rule or ())
        _check(records, output, queue, done, file.model)
        for note in (*notes, *queue.notes()):
            say(printable(note))
        with _opened(output, done) as judged:
            _Session(lines, judged, queue, limit).run()


def _check_rules(policy: Policy, rules: list[str]) -> None:
    from guard.policy.suggest import did_you_mean

    known = [rule.id for rule in policy.rules]
    for name in rules:
        if name not in known:
            cure = did_you_mean(name, known) or f"one of {', '.join(known)}"
            raise InvalidInput.of("--rule", f"the policy has no rule {name[:60]!r}", cure)


def _check(records: Path, output: Path, queue: Queue, done: Done, model: str) -> None:
    others = sorted({other for _, other in done.decided_by} - {model})
    if others:
        reason = f"{output} has records of {others[0]}, and {records} of {model}"
        raise InvalidInput.of("--output", reason, "give another file: scores of two models do not go together")
    if queue.without_text == queue.seen:
        reason = f"none of {queue.seen} records has its text"
        raise InvalidInput.of(f"{records}: text", reason, "screen the rows again without --no-text, and label those")


@contextmanager
def _opened(path: Path, done: Done) -> Iterator[IO[bytes]]:
    """The output, for appending, without a torn last line; held until it is closed."""
    with path.open("ab") as output:
        try:
            flock(output, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise InvalidInput.of("--output", f"another command is writing to {path}", "wait for it") from None
        except OSError:
            pass  # a file system without locks
        if output.seek(0, SEEK_END) > done.whole:
            output.truncate(done.whole)
            say(f"{path}: its last line was torn; cut off, to be asked again")
        yield output


class _Session:
    """One run of questions and answers. Used once."""

    def __init__(self, records: BinaryIO, output: IO[bytes], queue: Queue, limit: int | None) -> None:
        self._records = records
        self._output = output
        self._queue = queue
        self._limit = limit or len(queue.doubtful)
        # Question, and where the output ended before its answer.
        self._answered: list[tuple[int, int]] = []
        self._compliant: list[bool] = []

    def run(self) -> None:
        """Ask until all is judged, or whoever answers ends it."""
        from guard.policy.label import Command, Judgement, read_key

        at = 0
        questions = self._queue.doubtful
        while at < len(questions) and len(self._answered) < self._limit:
            record = self._show(at, questions[at])
            write_line(_ASK)
            while True:
                line = sys.stdin.buffer.readline()
                answer = read_key(line.decode("utf-8", "replace")) if line else Command.QUIT
                if isinstance(answer, str) and not isinstance(answer, Command):
                    write_line(printable(answer))
                elif answer is Command.HELP:
                    _help()
                else:
                    break
            if isinstance(answer, Judgement):
                self._write(at, answer.of(record))
                at += 1
            elif answer is Command.SKIP:
                at += 1
            elif answer is Command.BACK:
                at = self._take_back(at)
            else:
                break
        self._sum_up()

    def _show(self, number: int, doubtful: Doubtful) -> Record:
        self._records.seek(doubtful.offset)
        record = Record.from_json(self._records.readline().decode())
        rule = doubtful.rule
        write_line("")
        write_line(
            f"{number + 1} of {len(self._queue.doubtful)}: {record.direction.value}, {record.lang}, {rule.id} "
            f"{rule.category} {doubtful.score:.3f}, threshold {rule.threshold:g}"
        )
        for line in (record.text or "").splitlines():
            write_line(f"    {printable(line)}")
        return record

    def _write(self, at: int, record: Record) -> None:
        self._answered.append((at, self._output.seek(0, SEEK_END)))
        self._compliant.append(record.label == "compliant")
        self._output.write(record.to_json().encode() + b"\n")
        self._output.flush()

    def _take_back(self, at: int) -> int:
        if not self._answered:
            write_line("there is no answer of this run to take back")
            return at
        question, end = self._answered.pop()
        self._compliant.pop()
        self._output.truncate(end)
        return question

    def _sum_up(self) -> None:
        count, good = len(self._answered), sum(self._compliant)
        left = len(self._queue.doubtful) - count
        before = f", {self._queue.done} before" if self._queue.done else ""
        write_line(f"\njudged {count}{before}: {good} compliant, {count - good} noncompliant; {left} left")


def _help() -> None:
    from guard.policy.label import ANSWERS

    write_line("y compliant, n noncompliant, or why it is: categories by name or number, such as 1 or hate, crime")
    write_line("  ".join(f"{number} {name}" for number, name in enumerate(ANSWERS, start=1)))
