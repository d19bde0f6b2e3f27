"""The server from outside: SSH with pinned keys, the hub over verified HTTPS."""
