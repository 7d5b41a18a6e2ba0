"""Applications of the library: comparisons and studies, a folder each."""
