"""Say a request, get a stream of text from any model provider; private code stays home."""
