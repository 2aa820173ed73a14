"""The integration of requests: its sessions are patched, and their calls answered from the cache."""
