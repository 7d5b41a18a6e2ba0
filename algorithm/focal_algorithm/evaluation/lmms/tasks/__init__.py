"""Task files of lmms-eval; their functions are in `focal_algorithm.evaluation.lmms.shapes_task`."""
