"""guard: content compliance beside an LLM service."""
