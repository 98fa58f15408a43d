"""Training loop and its parts: session, batching, losses, optimizer, checkpoints, prediction and generation."""
