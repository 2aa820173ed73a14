"""The embedded MongoDB: a ``mongod`` of the user's own that the processes of one machine share."""
