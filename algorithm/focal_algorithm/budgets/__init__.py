"""Solving for the parameter value at which a method meets a budget."""
