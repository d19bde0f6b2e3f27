"""What the organiser's own files say about the notebook image: requirements and a Dockerfile.

Plain words in, plain words out; only `files` touches the disk, and only to read.
"""
