"""A rehearsal: real participants at once, what they met, and a verdict.

notebook  what they run         seats     who they are, and what is undone afterwards
machine   how the server fared  measures  numbers over all visits
verdict   what is wrong, and what to change: rules in slowness, words in reasons
report    the document          page      the same with pictures, from drawing
aboard    the crowd on the server         rehearse  the order of events
"""
