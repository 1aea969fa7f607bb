from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from guard.classifier.artifact import FILES
from guard.classifier.chunker import Chunker
from guard.classifier.classifier import Classifier
from guard.classifier.wordpiece import WordPiece
from guard.policy.load import load_policy
from guard.policy.policy import Policy
from guard.types import CATEGORIES, NONCOMPLIANT, Action, Role, Turn
from tests.tiny import WORDS
from training.corpora import Row
from training.quantisation import FloatScorer, Pair, costs, lossless, score_twice, to_markdown

POLICY = """
version: 1
name: strict
rules:
  - {id: any, category: noncompliant, threshold: 0.5, action: block}
"""


class Tiny(nn.Module):
    """What the tiny artifact's graph computes, with ``error`` added to every logit."""

    def __init__(self, tokenizer: WordPiece, error: float = 0.0) -> None:
        super().__init__()
        self.error = error
        self.known: dict[int, dict[str, float]] = {}
        for word, added in WORDS.items():
            token = tokenizer.token_to_id(word)
            assert token is not None
            self.known[token] = added

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of texts and of tokens."""
        tokens = torch.zeros((*input_ids.shape, len(CATEGORIES)))
        for token, added in self.known.items():
            for category, logit in added.items():
                tokens[..., CATEGORIES.index(category)] += logit * (input_ids == token)
        kept = (attention_mask * (1 - token_type_ids)).unsqueeze(-1)
        return (tokens * kept).amax(dim=1) - 4.0 + self.error, tokens


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """Blocks whatever is probably noncompliant."""
    (tmp_path / "strict.yaml").write_text(POLICY, encoding="utf-8")
    return load_policy(tmp_path / "strict.yaml")


def scorer(classifier: Classifier, error: float = 0.0) -> FloatScorer:
    """The tiny model in float, off by ``error``."""
    file = classifier.artifact.path(FILES.tokenizer)
    return FloatScorer(
        Tiny(WordPiece.from_file(file), error), Chunker.from_file(file, classifier.artifact.limits), classifier.artifact
    )


def rows() -> list[Row]:
    """Short and long texts with and without context, harmful at the end of the long ones."""
    base = Row(id="", source="s", lang="en", side="prompt", text="hello", label="compliant")
    bad = replace(base, label=NONCOMPLIANT, categories=("weapons",))
    made = [
        base,
        replace(base, text="hello " * 300),
        replace(bad, text="a bomb"),
        replace(bad, text="hello " * 300 + "bomb"),
        replace(bad, side="response", text="how to kill", context=(Turn(Role.USER, "a bomb"),)),
        replace(base, lang="zh", text="我爱北京"),
        replace(bad, lang="zh", text="炸", about=("weapons",)),
    ]
    return [replace(row, id=str(i)) for i, row in enumerate(made)]


def test_the_same_weights_cost_nothing(tiny_classifier: Classifier, policy: Policy) -> None:
    """Chunks, context, pooling and calibration are the artifact's on both sides."""
    pairs = list(score_twice(rows(), scorer(tiny_classifier), tiny_classifier, policy))
    assert len(pairs) == 7
    np.testing.assert_allclose([p.float_rank for p in pairs], [p.int8_rank for p in pairs], atol=1e-5)
    assert [p.float_action for p in pairs] == [p.int8_action for p in pairs]
    assert [p.float_action is Action.BLOCK for p in pairs] == [p.noncompliant and p.side == "prompt" for p in pairs]
    found = costs(pairs)
    assert lossless(found)
    assert [(cost.side, cost.lang, cost.texts) for cost in found] == [
        *[("*", "*", 7), ("prompt", "en", 4), ("prompt", "zh", 2), ("response", "en", 1)]
    ]


def test_a_difference_is_seen(tiny_classifier: Classifier, policy: Policy) -> None:
    """Scores that differ move ranks and decisions."""
    pairs = list(score_twice(rows(), scorer(tiny_classifier, error=6.0), tiny_classifier, policy))
    everything = costs(pairs)[0]
    assert everything.mean_difference > 0.1
    assert everything.agreement < 0.99


def test_a_text_over_the_limit_is_left_out(tiny_model_dir: Path, policy: Policy) -> None:
    """What serving refuses is not compared."""
    classifier = Classifier.load(tiny_model_dir, max_tokens=100)
    assert len(list(score_twice(rows(), scorer(classifier), classifier, policy))) == 5


def test_the_model_must_be_the_one_that_was_exported(tiny_classifier: Classifier, tmp_path: Path) -> None:
    """Another tokenizer means another run: its scores would be compared token for other token."""
    (tmp_path / FILES.tokenizer).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="another tokenizer"):
        FloatScorer.load(tmp_path, tiny_classifier.artifact)


def pair(noncompliant: bool, exact: float, rounded: float, lang: str = "en") -> Pair:
    """A text with its two ranks, decided at one half."""
    first, second = (Action.BLOCK if rank >= 0.5 else Action.ALLOW for rank in (exact, rounded))
    return Pair("prompt", lang, noncompliant, exact, rounded, first, second)


def test_loss_is_in_points_per_family() -> None:
    """AUPRC is compared within a family that has both classes, decisions over all texts."""
    good = [pair(False, i / 400, i / 400) for i in range(199)]
    swapped = [pair(True, 0.9, 0.4), pair(False, 0.3, 0.45)]
    one_class = [pair(True, 0.9, 0.9, lang="zh")]
    found = {(cost.side, cost.lang): cost for cost in costs([*good, *swapped, *one_class])}
    english = found["prompt", "en"]
    assert english.float_auprc == 1.0 and english.loss is not None and english.loss > 10
    assert found["prompt", "zh"].loss is None
    assert found["*", "*"].agreement == pytest.approx(201 / 202)
    assert not lossless(found.values())
    assert lossless([replace(english, loss=0.5, agreement=0.9)])
    assert not lossless([replace(found["*", "*"], agreement=0.98)])
    assert costs([]) == []


def test_the_document_is_printed() -> None:
    """One line a family; what is not defined stays empty."""
    document = {
        "model": "m@1",
        "policy": "p@1",
        "lossless": True,
        "families": [
            {
                "side": "prompt",
                "lang": "zh",
                "texts": 3,
                "positives": 0,
                "float_auprc": None,
                "int8_auprc": None,
                "loss": None,
                "agreement": 1.0,
                "mean_difference": 0.01,
            }
        ],
    }
    assert "| prompt | zh | 3 | 0 |  |  |  | 1.0000 | 0.0100 |" in to_markdown(document)
