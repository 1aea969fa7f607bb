"""What is true for a rule: what a record's label, its categories and ``about`` say about one category. Pure.

A label speaks about the categories that its ``about`` names, and about all of them where there is none: that a
corpus about hate calls a text compliant does not make it harmless.
"""

from __future__ import annotations

from dataclasses import dataclass

from guard.policy.allow import is_evidence
from guard.records import LABELS
from guard.types import CATEGORIES, NONCOMPLIANT, PII_CATEGORIES

#: In ``about``: the label speaks about every category.
ALL = "all"
#: In ``categories``: noncompliant in a way that has no name here.
OTHER = "other"
#: Every category that a truth can name and a rule can look at.
KNOWN = frozenset((*CATEGORIES, *PII_CATEGORIES))

_COMPLIANT, _NONCOMPLIANT = LABELS


def is_known(name: str) -> bool:
    """True for what may stand among scores and detections: a category that a rule can name, or what terms leave."""
    return name in KNOWN or is_evidence(name)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the labels of a record say.

    Attributes:
        label: ``compliant``, ``noncompliant``, or None where the truth is not known.
        categories: Which categories the text is in; None if the record does not say.
        about: Which categories the label speaks about; None stands for all of them.
    """

    label: str | None
    categories: tuple[str, ...] | None = None
    about: tuple[str, ...] | None = None

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """Names in ``categories`` and ``about`` that are no categories, in their order."""
        given = (*(self.categories or ()), *(self.about or ()))
        return tuple(name for name in given if name not in KNOWN and name not in {OTHER, ALL})

    @property
    def whole(self) -> bool:
        """True if it speaks about every category."""
        return self.about is None or ALL in self.about

    def of_decision(self) -> bool | None:
        """True if the text is noncompliant, False if it is compliant in every way, None if that is unknown."""
        if self.label == _NONCOMPLIANT:
            return True
        return False if self.label == _COMPLIANT and self.whole else None

    def of_category(self, category: str) -> bool | None:
        """The truth for a rule on a category.

        Args:
            category: What the rule looks at; a parent (``pii``) has the truth of its children.

        Returns:
            True if the text is in the category, False if it is not, None if the labels do not say. A rule on
            ``noncompliant`` has the truth of the whole label.
        """
        if category == NONCOMPLIANT:
            return self.of_decision()
        named = self.categories or ()
        if any(_within(name, category) for name in named):
            return True
        if any(_within(category, name) for name in named):
            return None  # personal data of some kind: of this one or of another
        other = any(name in KNOWN and name != NONCOMPLIANT for name in named)
        clean = self.label == _COMPLIANT or other
        return False if clean and self._covers(category) else None

    def _covers(self, category: str) -> bool:
        return self.whole or any(_within(category, name) for name in self.about or ())


def _within(category: str, parent: str) -> bool:
    return category == parent or category.startswith(parent + ".")
