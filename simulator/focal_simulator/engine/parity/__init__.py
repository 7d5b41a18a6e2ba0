"""Fidelity ``parity``: the published simulator's formulas, its known bugs included."""
