"""An AWS for tests: moto, and what moto gets wrong put right."""
