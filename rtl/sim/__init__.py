"""Stimuli, models and builds for the RTL in `rtl/src`."""
