"""From corpora to the artifact that guard ships: corpora, fine-tuning, calibration, export, evaluation, card.

Nothing here is part of the installed package, and nothing in ``guard`` imports it. Every stage is a module
that runs by itself (``python -m training.evaluate --help``); its docstring is its usage.
"""

import os

# As in guard.classifier.session: ONNX Runtime reports usage to its maker unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
