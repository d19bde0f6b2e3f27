"""Where machines come from. A provider is one module or folder; cli/wiring.py names them."""
