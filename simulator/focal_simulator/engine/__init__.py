"""Levels of modelling: a workload on an accelerator becomes time, traffic and energy. Knows no accelerator by name."""
