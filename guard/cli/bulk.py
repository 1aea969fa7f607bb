"""``guard screen --input``: a file of rows to a file of records, in order, in bounded memory, resumable.

Rows are taken in windows, a few of which are in flight at once; records are written in the order of their
rows. A row that cannot be screened is named on standard error and left out; everything else is written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from os import SEEK_END
from pathlib import Path
from typing import IO

from guard.cli.done import Done, IdSet, read_done
from guard.cli.input_row import RowParser, parse_map
from guard.cli.output import complain, printable, say
from guard.cli.progress import RowProgress
from guard.cli.rows import STANDARD_STREAM, RawRow, open_rows
from guard.cli.windows import Decided, Step, decide_in_order, message_bytes, windows
from guard.errors import GuardError, InvalidInput
from guard.records import Record
from guard.sdk.protocols import AnyGuard
from guard.types import Action, Content, Info


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """What ``guard screen --input`` was asked to do.

    Attributes:
        input: The file of rows, or ``-``.
        output: The file of records, or ``-``.
        columns: ``COLUMN=FIELD`` pairs.
        direction: The direction of rows that have none.
        policy: Name of the policy that decides; empty for the default.
        keep_text: Whether records carry the texts.
        jobs: Windows in flight at once.
    """

    input: Path
    output: Path
    columns: Sequence[str]
    direction: str
    policy: str
    keep_text: bool
    jobs: int


@dataclass(slots=True)
class BulkCounts:
    """What became of the rows.

    Attributes:
        actions: Records written by this run, by their action.
        bad: Rows that could not be screened.
        skipped: Rows whose records an earlier run has written.
        degraded: Texts that could not be scored.
        stopped_before: Records of earlier runs in the output whose text is not allowed.
    """

    actions: dict[Action, int] = field(default_factory=lambda: dict.fromkeys(Action, 0))
    bad: int = 0
    skipped: int = 0
    degraded: int = 0
    stopped_before: int = 0

    @property
    def written(self) -> int:
        """Records written by this run."""
        return sum(self.actions.values())

    @property
    def not_allowed(self) -> int:
        """Texts in the output that must not be passed on as they are, whichever run wrote them."""
        return self.stopped_before + self.written - self.actions[Action.ALLOW]

    def __str__(self) -> str:
        parts = [f"{self.written} screened", *(f"{n} {action.value}" for action, n in self.actions.items())]
        parts += [f"{self.bad} bad"] * (self.bad > 0) + [f"{self.skipped} done before"] * (self.skipped > 0)
        return ", ".join(parts)


def screen_file(guard: AnyGuard, options: BulkOptions) -> BulkCounts:
    """Screen a file of rows.

    Args:
        guard: Decides; may be asked from several threads at once.
        options: What to do.

    Returns:
        How many rows came to what.

    Raises:
        InvalidInput: The files or the column map cannot be used; bad rows are counted, not raised.
        GuardError: The guard failed as a whole; what was written stays, and a second run goes on from there.
    """
    _check_paths(options)
    info = guard.info()
    decided_by = _decided_by(options.policy, info)
    max_bytes = info.limits.max_message_bytes
    file = open_rows(options.input)
    columns = parse_map(options.columns, file.columns)
    parser = RowParser(file, columns, direction=options.direction, policy=options.policy)
    counts = BulkCounts()
    with ExitStack() as stack:
        done, output = _open_output(options.output, decided_by, stack)
        counts.stopped_before = done.not_allowed
        progress = stack.enter_context(RowProgress(file.total))
        steps = _steps(file.rows, parser, done, max_bytes)
        for window in decide_in_order(guard, _of_mapped(windows(steps, max_bytes), parser), options.jobs):
            for decided in window:
                _settle(decided, file.name, counts, output, options.keep_text)
            output.flush()
            progress.update(len(window), window[-1].step.position)
    if counts.degraded:
        say(f"{counts.degraded} text{'s' * (counts.degraded > 1)} could not be scored; the policy's on_error decided")
    return counts


def _check_paths(options: BulkOptions) -> None:
    if options.output == STANDARD_STREAM or options.input == STANDARD_STREAM:
        return
    if options.output.exists() and options.input.exists() and options.output.samefile(options.input):
        raise InvalidInput.of("--output", "is the input file", "give another file")


def _decided_by(name: str, info: Info) -> tuple[str, str]:
    """The policy and the model that decide, as records name them."""
    for policy in info.policies:
        if policy.name == name or (policy.default and not name):
            return f"{policy.name}@{policy.revision}", f"{info.model.name}@{info.model.revision}"
    known = ", ".join(policy.name for policy in info.policies)
    raise InvalidInput.of("policy", f"no policy {name!r}", f"one of {known}")


def _open_output(path: Path, decided_by: tuple[str, str], stack: ExitStack) -> tuple[Done, IO[bytes]]:
    """Open for appending, a torn last line cut off; standard output has nothing done before.

    Raises:
        InvalidInput: Not a file of records, or its records are of another policy or model, so that they would
            pass for decisions of this one.
    """
    if path == STANDARD_STREAM:
        return Done(IdSet(), IdSet(), 0), sys.stdout.buffer
    if path.exists() and not path.is_file():
        raise InvalidInput.of("--output", f"{str(path)!r} is not a file", "give the path of a file")
    output = stack.enter_context(path.open("ab"))
    try:
        # Held until the file is closed: what is done is only known while nobody else writes.
        flock(output, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        cure = "wait for it, or give another file"
        raise InvalidInput.of("--output", f"another command is writing to {str(path)!r}", cure) from None
    except OSError:
        pass  # a file system without locks
    done = read_done(path)
    if done.decided_by - {decided_by}:
        reason = f"{str(path)!r} has records of another policy or model than {' and '.join(decided_by)}"
        raise InvalidInput.of("--output", reason, "give another --output, or remove the file")
    if output.seek(0, SEEK_END) > done.whole:
        output.truncate(done.whole)
        say(f"{path}: its last line was torn; cut off, to be screened again")
    return done, output


def _steps(rows: Iterable[RawRow], parser: RowParser, done: Done, max_bytes: int) -> Iterator[Step]:
    """Parse rows; ids that are done are passed over, ids that came before are broken."""
    seen = IdSet()
    for raw in rows:
        try:
            row = parser.parse(raw)
            if not seen.add(row.id):
                raise InvalidInput.of("id", f"duplicate {row.id[:60]!r}", "give every row an id of its own")
            _check_size(row.content, max_bytes)
            skipped = done.has(row.id, row.content.text)
        except InvalidInput as error:
            yield Step(raw.number, raw.position, error=error)
        else:
            yield Step(raw.number, raw.position, row=None if skipped else row)


def _of_mapped(windows: Iterable[list[Step]], parser: RowParser) -> Iterator[list[Step]]:
    """The windows, if the first rows have the columns that were mapped: else nothing is screened."""
    for window in windows:
        parser.check_columns()
        yield window


def _check_size(content: Content, max_bytes: int) -> None:
    """Refuse a row that no message can carry, which would fail its whole window."""
    size = message_bytes(content)
    if size > max_bytes:
        reason = f"{size} bytes with its context and tags, the limit is {max_bytes}"
        raise InvalidInput.of("text", reason, "split the text")


def _settle(decided: Decided, file: str, counts: BulkCounts, output: IO[bytes], keep_text: bool) -> None:
    """Write a row's record or name its fault.

    Raises:
        GuardError: The row failed for another reason than its content; it may succeed in a second run.
    """
    step, result = decided.step, decided.result
    error = step.error if step.error is not None else result if isinstance(result, InvalidInput) else None
    if error is not None:
        counts.bad += 1
        complain(printable(f"{file}:{step.number}: {error}"))
    elif isinstance(result, GuardError):
        raise result
    elif step.row is None or result is None:
        counts.skipped += 1
    else:
        record = Record.of(
            step.row.content, result, id=step.row.id, keep_text=keep_text, annotation=step.row.annotation
        )
        output.write(record.to_json().encode() + b"\n")
        counts.actions[result.action] += 1
        counts.degraded += result.degraded
