"""What paramiko's errors are called where people read them."""

from __future__ import annotations


def words_of(error: BaseException) -> str:
    words = str(error).strip() or type(error).__name__
    # paramiko's words for a port that takes the connection and then says nothing: QEMU's forward
    # listens before the machine behind it does.
    return "nothing speaks SSH there yet" if words == "No existing session" else words
