"""Tier 2: which vectors are zero or similar, and which vector represents them."""
