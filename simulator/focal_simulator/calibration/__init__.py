"""Solves counts whose parity simulation meets published rows, for masks that were never released."""
