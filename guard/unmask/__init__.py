"""Level-2 normalisation: what an evader may have meant by a disguised text.

A stage of its own after level 1. Level 1 gives the text that a model was trained on and is part of its artifact; here a
text that looks disguised gets a SECOND reading beside the first, and both are scored. A disguise is undone only where
an ordinary text would not look like it: the reading must be words of a dictionary, characters that belong together, or
natural text behind an encoding. Russian, code, formulas, images in base64 and emoji give no second reading.

Tables: :mod:`guard.unmask.words`; the transforms and their order: :mod:`guard.unmask.reading`.
"""

from guard.unmask.reading import TRANSFORMS, Reading, unmask

__all__ = ["TRANSFORMS", "Reading", "unmask"]
