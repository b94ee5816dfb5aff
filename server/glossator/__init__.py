"""Glossator: a language server that explains, fixes and refactors the code you point at."""

__version__ = "0.1.0"  # the one place; the package's metadata is made of it
