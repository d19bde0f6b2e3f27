"""Making of text that others execute: pure functions from values to bytes and words."""
