"""Trace providers of design-space studies that run a model; importing this package registers them.

Accuracy and trace of a method come from one run: many parameter sets on one loaded model.
"""

from focal_simulator.sweep.providers import TRACE_PROVIDERS

__all__: list[str] = []

TRACE_PROVIDERS.add("command", "focal.studies.measure.command:CommandTraces")
TRACE_PROVIDERS.add("measure", "focal.studies.measure.provider:MeasuredTraces")
