"""Trace files of any tier: read, check, compare, convert."""
