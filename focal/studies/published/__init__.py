"""The published experiments of the Focus paper (HPCA 2026), run again."""
