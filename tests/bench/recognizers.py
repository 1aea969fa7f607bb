"""How long the recognizers take for 300 characters: all of them, beside the same patterns without checks.

- all: every recognizer with its checks, its words near by and the choice between readings, as the engine calls it
- patterns: the search patterns alone, each over the whole text, without the quick looks that spare most of them
- ratio: all / patterns; below one, the quick looks save more than the checks cost
- dearest: the recognizer that takes longest on that kind of text

Each time is the shortest of many runs in one process, so another process beside it does little harm.

Usage: ``python -m tests.bench.recognizers [--runs N] [--page docs/recognizers.md]``
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from guard.normalize import normalize
from guard.recognizers import (
    RECOGNIZERS,
    address_cn,
    api_key,
    bank_card,
    cloud_key,
    detect,
    email,
    iban,
    id_card,
    ip,
    jwt,
    national_id,
    passport,
    phone,
    plate_cn,
    private_key,
    ssn,
    url,
)
from tests.bench.page import table, write_between

_LENGTH = 300

#: What the recognizers search a text for; not what they look for near by.
PATTERNS: tuple[re.Pattern[str], ...] = (
    email._ADDRESS,
    *(phone._PLUS, phone._MOBILE, phone._LANDLINE, phone._AMERICAN, phone._GROUPED),
    id_card._NUMBER,
    ssn._NUMBER,
    national_id._ANY,
    bank_card._RUN,
    iban._NUMBER,
    *(ip._FOUR_PARTS, ip._SIX_PARTS),
    address_cn._HOUSE,
    plate_cn._PLATE,
    *(passport._NUMBER, passport._LINE),
    private_key._BEGIN,
    jwt._TOKEN,
    *(shape.pattern for shape in (*cloud_key._SHAPES, cloud_key._AWS, *api_key._SHAPES)),
    api_key._NAMES,
    *(url._SCHEME, url._WWW, url._DOMAIN),
)

#: Kinds of texts, cut to 300 characters.
TEXTS = {
    "Chinese prose": "春天来了，花儿开了，孩子们在公园里放风筝，老人们坐在长椅上晒太阳，远处的山坡上开满了桃花。" * 9,
    "English prose": "The river ran slowly past the old mill, and nobody could say how long it had stood there. " * 4,
    "a customer's mail": (
        "您好，我的订单20231105123456还没有收到，请联系13812345678，或者发邮件到 zhangsan@example.com。"
        "收货地址是北京市朝阳区建国路88号院3号楼1202室，身份证11010519491231002X。"
    )
    * 4,
    "a support ticket": (
        "Order 20231105123456 was paid with 4111 1111 1111 1111 on 2023-11-05 at 12:30; call me at (415) 555-2671 or "
        "write to jane.doe@example.com. The app is version 10.0.19041.1237, the client is 93.184.216.34, the price 9. "
    )
    * 3,
    "code": (
        "def connect(host: str, port: int = 5432) -> Connection:\n    # see section 6.5.1\n"
        '    return Connection(f"postgres://{user}@{host}:{port}/db", timeout=30.0)\n\n'
        'assert connect("localhost").version == "14.2.1"\nprint(hash("a"), 0xDEADBEEF, 1_000_000)\n'
    )
    * 3,
    "a log": (
        "2023-11-05T12:30:45.123Z INFO 93.184.216.34 GET /a?id=100245 200 17ms trace=4bf92f3577b34da6a3ce929d0e0e4736\n"
    )
    * 4,
    "numbers alone": "13812345678 4111111111111111 62220212 010-62781234 " * 7,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of text; times in microseconds."""

    kind: str
    whole: float
    patterns: float
    dearest: str
    dearest_time: float


def shortest(work: Callable[[], object], runs: int) -> float:
    """The shortest of so many runs, in microseconds."""
    best = float("inf")
    for _ in range(runs):
        began = time.perf_counter_ns()
        work()
        best = min(best, time.perf_counter_ns() - began)
    return best / 1000


def _bare(text: str) -> None:
    for pattern in PATTERNS:
        for _ in pattern.finditer(text):
            pass


def measure(runs: int) -> Iterator[Line]:
    """The times of each kind of text."""
    for kind, long in TEXTS.items():
        normalized = normalize(long[:_LENGTH])
        text = normalized.text
        each = {name: shortest(partial(r.find, text), runs) for name, r in RECOGNIZERS.items()}
        dearest = max(each, key=lambda name: each[name])
        yield Line(
            kind=kind,
            whole=shortest(partial(detect, normalized), runs),
            patterns=shortest(partial(_bare, text), runs),
            dearest=dearest,
            dearest_time=each[dearest],
        )


def main() -> None:
    """Measure, print the table, and write it into a page if that was asked for."""
    parser = argparse.ArgumentParser(description="The recognizers' time for 300 characters.")
    parser.add_argument("--runs", type=int, default=500, help="runs of each, of which the shortest counts")
    parser.add_argument("--page", type=Path, help="file whose table is replaced")
    given = parser.parse_args()
    rows = [
        (one.kind, f"{one.whole:.0f}", f"{one.patterns:.0f}", f"{one.whole / one.patterns:.2f}",
         f"`{one.dearest}` {one.dearest_time:.0f}")
        for one in measure(given.runs)
    ]  # fmt: skip
    shown = table(("300 characters of", "all, µs", "patterns, µs", "ratio", "dearest, µs"), rows)
    sys.stdout.write(shown + "\n")
    if given.page:
        write_between(given.page, "recognizers", shown)


if __name__ == "__main__":
    main()
