"""The one place where the version stands; the build reads it too, so a checkout knows it without installation."""

from __future__ import annotations

__version__ = "0.1.0"
