"""Simulate every workload of a trace root on two accelerators: python simulate_a_trace_root.py ROOT."""

import sys

import focal

results = focal.simulate(sys.argv[1], ["dense", "focus"])
print(results.frame()[["model", "dataset", "accelerator", "cycles", "energy_mj", "area_mm2", "speedup_over_dense"]])
print(f"geometric mean: {results.speedup('focus', over='dense'):.2f} x")
print(results.explain("9.o_proj", model="llava_vid", dataset="videomme"))
results.save("results")
results.plot("speedup.png")
