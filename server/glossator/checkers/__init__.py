"""The tools that report diagnostics, a row each."""

from __future__ import annotations

from glossator.checkers.row import CheckerFailed
from glossator.checkers.toolbox import Toolbox

__all__ = ["CheckerFailed", "Toolbox"]
