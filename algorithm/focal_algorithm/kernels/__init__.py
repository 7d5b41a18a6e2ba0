"""Pure tensor functions of the compression methods; nothing here knows a model, a hook or a file."""
