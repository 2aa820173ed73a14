"""How a call gets in: the patch of requests, the decorator, the session, the runner, the backend, the command line.

Doors are thin and do not import each other's insides.
"""
