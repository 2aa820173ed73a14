"""What is counted of calls, in this process and in MongoDB."""
