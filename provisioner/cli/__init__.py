"""The human: commands, prompts, progress, and the one funnel that errors go through."""
