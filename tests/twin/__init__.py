"""AWS without AWS: a network of the test's own, in which a started instance is a real machine.

`world.twin()` makes it. Nothing in it reaches, or is reached from, the network outside.
"""
