"""The tools that report diagnostics, a row each."""
