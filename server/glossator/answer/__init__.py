"""Prose and code out of a model's answer: what it says, and the text that it means, or why that is unsure."""

from glossator.answer.reading import CANNOT_FIX, AnswerStream, Outcome, Reading, read, read_addition, read_all

__all__ = ["CANNOT_FIX", "AnswerStream", "Outcome", "Reading", "read", "read_addition", "read_all"]
