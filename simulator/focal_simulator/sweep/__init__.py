"""Design-space exploration: studies as YAML, evaluated in one process, in many, or on a Dask cluster.

`study` says what to vary, `sampling` and `search` which points to visit, `evaluate` what one point is worth,
`store` keeps every finished point, `workers` spreads the work, `pareto` and `sensitivity` read the result.
"""
