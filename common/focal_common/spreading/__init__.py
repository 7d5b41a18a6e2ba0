"""One run on many workers: which part is whose, who works where, and where finished parts lie."""
