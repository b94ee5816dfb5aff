"""Glossator: a language server that explains, fixes and refactors the code you point at."""
