"""What makes a network a graph of int8 that decides as it did: parts of ``training.export``."""
