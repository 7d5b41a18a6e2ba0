"""Result files read into frames, and refused where they must not stand side by side."""
