"""The training loop and all it needs: session, batching, losses, optimizer, checkpoints, prediction."""
