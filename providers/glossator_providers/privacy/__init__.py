"""The doorkeeper: how far a text may travel, always with the reasons; only here is a request cleared for sending."""

from __future__ import annotations

from glossator_providers.privacy.decide import (
    Cleared,
    clear,
    clear_probe,
    inspect,
    is_near,
    is_trusted,
    judge,
    judge_text,
)
from glossator_providers.privacy.files import Files, Found, LocalFiles
from glossator_providers.privacy.policy import Policy
from glossator_providers.privacy.reasons import Decision, Reason, Source

__all__ = [
    "Cleared",
    "Decision",
    "Files",
    "Found",
    "LocalFiles",
    "Policy",
    "Reason",
    "Source",
    "clear",
    "clear_probe",
    "inspect",
    "is_near",
    "is_trusted",
    "judge",
    "judge_text",
]
