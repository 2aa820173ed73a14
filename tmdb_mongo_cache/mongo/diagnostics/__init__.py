"""What the doctor measures at MongoDB: the connection, the rights, the collection and its indexes."""
