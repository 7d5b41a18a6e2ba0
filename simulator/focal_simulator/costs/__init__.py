"""What parts of an accelerator cost in area and energy, independent of any accelerator."""
