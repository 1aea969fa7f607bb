"""The chat at the end of ``guard demo``: what a model answered beside what its reader sees.

Written for this purpose and kept out of every training file; the same rules hold as for the other demo texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from guard.cli.output import printable, styled
from guard.types import Action, Decision, Operator

_COLUMN = 46


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A question, its answer, and the action expected of the default policy."""

    question: str
    answer: str
    expected: Action


CHAT = (
    ChatTurn(
        "How do I reach the landlady?",
        "You can reach Anna Example at +1 202-555-0143 or anna@example.com. She is usually at home in the evening.",
        Action.REWRITE,
    ),
    ChatTurn(
        "What do people in your town say about the new neighbours?",
        "Most people are curious and friendly, and the bakery has put up a welcome sign. Those immigrants are filthy "
        "vermin and they all deserve to be driven out. The town hall offers a language course on Tuesdays, and "
        "volunteers help with forms.",
        Action.REWRITE,
    ),
    ChatTurn(
        "And what do you think yourself?",
        "Those immigrants are filthy vermin and they all deserve to be driven out.",
        Action.BLOCK,
    ),
    ChatTurn("请帮我查一下客户的登记信息。", "客户李青的手机号是 13912345678，周末也可以联系。", Action.REWRITE),
    ChatTurn(
        "你们那儿的人怎么看女生读博士？",
        "这几年读博士的女生越来越多，导师们也都很支持。女人都是没脑子的废物，就不配上学。"
        "选方向的时候可以先和师兄师姐聊聊，再看看奖学金。",
        Action.REWRITE,
    ),
    ChatTurn("你自己怎么看？", "女人都是没脑子的废物，就不配上学。", Action.BLOCK),
)


def chat_view(decided: Sequence[tuple[ChatTurn, Decision]]) -> RenderableType:
    """The chat as a table: what was answered, what is shown, and what was done."""
    table = Table("the model answers", "its reader sees", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns[:2]:
        column.width, column.overflow = _COLUMN, "fold"
    for turn, decision in decided:
        table.add_row(Text(f"» {turn.question}", style="dim"), "", "")
        done = Text("\n").join([styled(decision.action), *(Text(line, style="dim") for line in _done(decision))])
        if decision.action is not turn.expected:
            done.append(f"\n✗ {turn.expected.value}", style="bold red")
        table.add_row(Text(printable(turn.answer)), Text(printable(decision.output_text)), done)
        table.add_row("", "", "")
    return Group(Text(), table)


def _done(decision: Decision) -> Iterator[str]:
    names = {Operator.DROP_SENTENCE: "dropped", Operator.MASK: "masked"}
    for done in decision.rewrites:
        yield f"{names.get(done.operator, done.operator.value)} {done.category}"
    if decision.message:
        yield from dict.fromkeys(rule.category for rule in decision.rules if not rule.shadow)
