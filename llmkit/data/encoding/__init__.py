"""Turn rows into token ids: templates, windows, packing, masking, padding."""
