"""Training: plan, loop, step, state, checkpoints."""
