"""All methods at equal budget on the offline models: accuracy measured, cycles and energy simulated."""
