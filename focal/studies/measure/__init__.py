"""Accuracy and trace of a method in one run, for design-space studies: many parameter sets on one loaded model."""
