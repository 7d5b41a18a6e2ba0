"""Figures and tables from result files. Runs no model and no simulation."""
