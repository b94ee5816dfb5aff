"""LSP in and out: one file per method of the protocol."""
