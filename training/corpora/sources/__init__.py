"""Public corpora that can be rebuilt from their repositories, one a file; an explicit dict, no discovery."""

from __future__ import annotations

from collections.abc import Mapping

from training.corpora.corpus import Corpus
from training.corpora.sources import (
    banking77,
    clinc150,
    cold,
    counsel_chat,
    davidson_tweets,
    diasafety,
    hatecheck,
    jade,
    self_instruct_seeds,
    swsr,
    vicomtech,
)

#: Name -> corpus.
CORPORA: Mapping[str, Corpus] = {
    module.CORPUS.name: module.CORPUS
    for module in (
        banking77,
        clinc150,
        cold,
        counsel_chat,
        davidson_tweets,
        diasafety,
        hatecheck,
        jade,
        self_instruct_seeds,
        swsr,
        vicomtech,
    )
}
