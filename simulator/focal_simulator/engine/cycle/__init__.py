"""Fidelity ``cycle``: every fold of every tile timed with its own counts, one cause per cycle, energy per action."""
