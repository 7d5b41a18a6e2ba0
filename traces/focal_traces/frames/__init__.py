"""The pictures behind a trace, and where in them each visual token lies."""
