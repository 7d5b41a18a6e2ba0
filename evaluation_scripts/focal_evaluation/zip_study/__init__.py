"""Reads the tables of ``focal sparsezip`` and says what they show: summary, pictures, page. Runs no model."""
