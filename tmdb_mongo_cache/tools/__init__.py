"""What people ask of a cache by hand: what is in it, why, what it has saved, whether it is well."""
