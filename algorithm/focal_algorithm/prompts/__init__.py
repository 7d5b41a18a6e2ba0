"""How a prompt is laid out, and how pictures become tokens."""
