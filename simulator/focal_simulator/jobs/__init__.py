"""What an accelerator hands to the engine: GEMMs cut into tiles, vector work, and the corrections that shape them."""
