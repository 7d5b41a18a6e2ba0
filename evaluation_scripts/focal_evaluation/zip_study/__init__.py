"""Reads the tables of ``focal sparsezip``: summary and pictures. Runs no model."""
