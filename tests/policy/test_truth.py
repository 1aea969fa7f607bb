"""What a label, its categories and ``about`` say about one category."""

from __future__ import annotations

import pytest

from guard.policy.truth import Truth

_YES, _NO = "noncompliant", "compliant"


@pytest.mark.parametrize(
    ("label", "categories", "about", "category", "true"),
    [
        # in its categories: positive, whatever the label
        (_YES, ("hate",), None, "hate", True),
        (_YES, ("hate", "violence"), ("violence",), "hate", True),
        (None, ("hate",), None, "hate", True),
        (_YES, ("pii.phone",), None, "pii", True),
        # compliant, as far as the label speaks
        (_NO, None, None, "hate", False),
        (_NO, (), ("all",), "hate", False),
        (_NO, (), ("hate",), "hate", False),
        (_NO, (), ("violence",), "hate", None),
        (_NO, (), ("pii",), "pii.phone", False),
        (_NO, (), ("pii.phone",), "pii", None),
        # other known categories, as far as the label speaks
        (_YES, ("violence",), None, "hate", False),
        (_YES, ("violence",), ("violence", "hate"), "hate", False),
        (_YES, ("violence",), ("violence",), "hate", None),
        (None, ("violence",), None, "hate", False),
        # nothing that tells
        (_YES, ("other",), None, "hate", None),
        (_YES, ("rudeness",), None, "hate", None),
        (_YES, ("noncompliant",), None, "hate", None),
        (_YES, None, None, "hate", None),
        (_YES, ("pii",), None, "pii.phone", None),
        (None, None, None, "hate", None),
        # the whole label
        (_YES, None, ("hate",), "noncompliant", True),
        (_NO, None, None, "noncompliant", False),
        (_NO, None, ("hate",), "noncompliant", None),
        (None, ("hate",), None, "noncompliant", None),
        (_NO, ("self_harm",), None, "noncompliant", False),
        (_NO, ("self_harm",), None, "self_harm", True),
    ],
)
def test_the_truth_for_a_rule(
    label: str | None,
    categories: tuple[str, ...] | None,
    about: tuple[str, ...] | None,
    category: str,
    true: bool | None,
) -> None:
    """Positive if named; negative if the label covers the category and says that it is absent; else unknown."""
    assert Truth(label, categories, about).of_category(category) is true


def test_names_that_are_no_categories_are_found() -> None:
    """``other`` and ``all`` are words of the labels; everything else has to be a category."""
    truth = Truth(_YES, ("hate", "rudeness", "other"), ("all", "pii.phone", "tone"))
    assert truth.unknown_names == ("rudeness", "tone")
