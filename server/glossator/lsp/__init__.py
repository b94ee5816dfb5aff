"""The rooms that know the Language Server Protocol; what one editor connection needs, and nothing else."""

from glossator.lsp.boot import serve

__all__ = ["serve"]
