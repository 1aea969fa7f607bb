"""Microsoft Presidio's side of ``tests.bench.pii``: texts in, places out, one JSON line each.

Runs in an environment of its own that has presidio-analyzer and needs no language model: the tokens of a blank English
pipeline, each its own lemma, serve the words near by that raise its scores.
"""

# mypy: ignore-errors
# (neither Presidio nor spaCy is installed where the types are checked)

import json
import logging
import sys

import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import PhoneRecognizer
from spacy.language import Language

_LEAST = 0.35
_CATEGORIES = {
    "EMAIL_ADDRESS": "pii.email",
    "PHONE_NUMBER": "pii.phone",
    "US_SSN": "pii.id_card",
    "IN_AADHAAR": "pii.id_card",
    "CREDIT_CARD": "pii.bank_card",
    "IBAN_CODE": "pii.iban",
    "IP_ADDRESS": "pii.ip",
    "US_PASSPORT": "pii.passport",
    "IN_PASSPORT": "pii.passport",
    "URL": "url",
}
_REGIONS = ("CN", "US", "GB", "DE", "HK", "SG")


@Language.component("own_lemmas")
def _own_lemmas(doc):
    for token in doc:
        token.lemma_ = token.text.lower()
    return doc


class _Blank(SpacyNlpEngine):
    def __init__(self):
        super().__init__(models=[{"lang_code": "en", "model_name": "none"}])
        pipeline = spacy.blank("en")
        pipeline.add_pipe("own_lemmas")
        self.nlp = {"en": pipeline}

    def load(self):
        pass

    def is_loaded(self):
        return True


def main():
    """Answer line by line."""
    logging.disable(logging.CRITICAL)
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    for name in ("SpacyRecognizer", "PhoneRecognizer"):
        registry.remove_recognizer(name)
    registry.add_recognizer(PhoneRecognizer(supported_regions=_REGIONS))
    engine = AnalyzerEngine(registry=registry, nlp_engine=_Blank(), supported_languages=["en"])
    for line in sys.stdin:
        found = engine.analyze(json.loads(line), language="en", score_threshold=_LEAST)
        known = [(_CATEGORIES[one.entity_type], one.start, one.end) for one in found if one.entity_type in _CATEGORIES]
        sys.stdout.write(json.dumps(known) + "\n")


if __name__ == "__main__":
    main()
