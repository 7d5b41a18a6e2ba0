"""Many traced runs from one file: models x datasets x methods, resumable sample by sample."""
