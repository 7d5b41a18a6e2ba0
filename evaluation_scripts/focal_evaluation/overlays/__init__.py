"""Pictures of what a method left of the visual tokens, drawn on the frames; from trace files alone."""
