from __future__ import annotations

from tests.readme import compare


def test_the_readme_trains_a_model() -> None:
    """The README's commands take the smoke corpora through every training stage to an artifact that guard loads."""
    shown, found = compare(section="Training")
    assert found == shown
