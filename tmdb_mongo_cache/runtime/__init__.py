"""What carries the effects of the core out, and what runs in the background."""
