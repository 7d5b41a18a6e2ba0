"""Task files of lmms-eval; their functions are in `focal_algorithm.lmms.shapes_task`."""
