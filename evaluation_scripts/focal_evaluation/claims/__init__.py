"""Published numbers as claims, and which of them hold in a run."""
