"""Which rows a model is trained on: caps and repeats per source, own contrast texts, composed answers.

Sources differ in size by three orders of magnitude; without caps the largest would set the decision
border. The table below is the mixture's only configuration. Everything is drawn by a seeded generator, and
a fixed share of each source (by hash of the request, so that two answers to one request stay together) is
held out for calibration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from guard.types import NONCOMPLIANT, Role, Turn
from training.compose import compose
from training.contrast import contrast_rows, wrappers
from training.corpora import ALL, COMPLIANT, Row
from training.corpora.splits import fraction_of, split_key


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a source enters: at most ``cap`` rows per side and label, each ``repeat`` times."""

    cap: int = 3000
    repeat: int = 1


_DEFAULT = Share()

#: Deviations from the default, each for a reason: small precise sources are repeated, large one-sided ones cut.
SHARES: Mapping[str, Share] = {
    "translated_zh": Share(9999, 3),
    "translated_en": Share(9999, 2),
    "plexpt_annotated": Share(9999, 2),
    "hh_rlhf_annotated": Share(9999, 2),
    "guardreasoner_mix": Share(9999, 2),
    "jade": Share(9999, 2),
    "jailbreak_templates": Share(9999, 2),
    "contrast": Share(9999, 3),
    "cold": Share(9000),
    "swsr": Share(2500),
    "implicit_hate": Share(3500),
    "diasafety": Share(4000),
    "edos": Share(2500),
    "olid": Share(3500),
    "toxigen_annotated": Share(2500),
    "vicomtech": Share(2500),
    "teleantifraud": Share(1800),
    "laws_zh": Share(1800),
    "plexpt_questions": Share(9000),
    "chat_baseline": Share(4000),
    "clinc150": Share(2500),
    "banking77": Share(1800),
    "nl2bash": Share(2500),
    "stackoverflow_titles": Share(2500),
}

#: Sources that no stage trains on: thresholds and calibration are set on texts of a kind that the model never saw.
#: One of each side and language, as small as possible.
HELD_OUT_SOURCES: tuple[str, ...] = (
    "aisafetylab_zh",
    "counsel_chat",
    "deepset_pi",
    "latent_jailbreak",
    "self_instruct_seeds",
    "toxigen_demos",
)

#: Unlabelled general paragraphs, taken as compliant content (assumed, not checked row by row).
_PLAIN_CAP = 700
_HOLDOUT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Mixture:
    """Rows to train on (repeats included) and rows held out for calibration."""

    train: list[Row]
    heldout: list[Row]

    @property
    def rows_by_source(self) -> dict[str, int]:
        """Distinct training rows per source, for the card."""
        seen: dict[str, set[str]] = {}
        for row in self.train:
            seen.setdefault(row.source, set()).add(row.id)
        return {source: len(ids) for source, ids in sorted(seen.items())}


def build(
    rows: Sequence[Row],
    plain: Path | None,
    *,
    seed: int,
    leave_out: Iterable[str] = (),
    keep_out: Collection[str] | None = None,
    learnt: Collection[str] | None = None,
    size: int = 0,
    repeat: Mapping[str, int] | None = None,
) -> Mixture:
    """Draw the mixture.

    Args:
        rows: Labelled rows; ambiguous ones are ignored.
        plain: Parquet of general paragraphs (text, lang, source, licence_class), or None.
        seed: Determines the draw.
        leave_out: Sources that go to the held-out part as a whole.
        keep_out: Ids to hold out instead of a fresh split: a continued training keeps the split it began with.
        learnt: The sources that this split is about; others get a fresh one. None for all.
        size: So many training rows, drawn at random; 0 for all.
        repeat: How often each row of a source stands in it, in the place of what :data:`SHARES` says.
    """
    rng = np.random.default_rng(seed)
    left_out = set(leave_out)
    times = repeat or {}
    own = own_rows()
    labelled = [row for row in [*rows, *own] if row.label in (COMPLIANT, NONCOMPLIANT)]
    if plain is not None:
        labelled += plain_rows(plain, rng)
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in labelled:
        groups.setdefault((row.source, row.lang, row.side, row.label), []).append(row)
    train: list[Row] = []
    heldout: list[Row] = []
    for (source, *_), members in groups.items():
        share = SHARES.get(source, _DEFAULT)
        order = rng.permutation(len(members))[: share.cap]
        kept = None if learnt is not None and source not in learnt else keep_out
        for index in order:
            row = members[index]
            if source in left_out or (_held_out(row) if kept is None else row.id in kept):
                heldout.append(row)
            else:
                train += [row] * times.get(source, share.repeat)
    train += compose(train, [] if "contrast" in left_out else own, wrappers(), rng)
    if 0 < size < len(train):
        train = [train[index] for index in rng.permutation(len(train))[:size]]
    return Mixture(train, heldout)


def own_rows() -> list[Row]:
    """The contrast texts written for this project."""
    out: list[Row] = []
    for item in contrast_rows():
        context = item["context"]
        if isinstance(context, str):
            turns: tuple[Turn, ...] = (Turn(Role.USER, context),)
        else:
            turns = tuple(Turn(Role(turn["role"]), turn["text"]) for turn in context or ())
        out.append(
            Row(
                id=item["id"],
                source="contrast",
                lang=item["lang"],
                side=item["side"],
                text=item["text"],
                context=turns,
                label=item["label"],
                categories=tuple(item["categories"]),
                about=(ALL,),
                licence_class="permissive",
                label_basis="design",
            )
        )
    return out


def plain_rows(path: Path, rng: np.random.Generator) -> list[Row]:
    """Unrestricted general paragraphs as compliant content, a few hundred of each source."""
    table = pq.read_table(path, filters=[("licence_class", "!=", "restricted")])
    by_source: dict[str, list[int]] = {}
    for index, source in enumerate(table.column("source").to_pylist()):
        by_source.setdefault(source, []).append(index)
    rows: list[Row] = []
    for source, indices in sorted(by_source.items()):
        chosen = rng.permutation(indices)[:_PLAIN_CAP]
        for number, item in zip(chosen, table.take(chosen).to_pylist(), strict=True):
            rows.append(
                Row(
                    id=f"plain-{source}-{number}",
                    source=f"plain_{source}",
                    lang=item["lang"],
                    side="content",
                    text=item["text"],
                    label=COMPLIANT,
                    licence_class=item["licence_class"],
                    label_basis="assumed_benign",
                )
            )
    return rows


def _held_out(row: Row) -> bool:
    return row.source != "contrast" and fraction_of(split_key(row)) < _HOLDOUT_SHARE
