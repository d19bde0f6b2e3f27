"""A server without a virtual machine: the real guest's files, its Docker and its sshd, natively.

`world.py` is the door for people (`python -m tests.engine.world --help`), `conftest.py` the one for
tests: the fixture `workshop` is a launched workshop.
"""
