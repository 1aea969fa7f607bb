"""Generated from ``proto/guard/v1/guard.proto`` by ``proto/generate.sh``; only this line is written by hand."""
