"""What a method decided, layer by layer, and what became of each token."""
