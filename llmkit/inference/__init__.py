"""A trained model in use: open it, batch its inputs, predict, and slice the results."""
