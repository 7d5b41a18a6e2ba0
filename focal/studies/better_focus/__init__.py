"""The study better_focus: designs beside the published Focus."""
