"""What benchmarks say of a model: the lines of the table, beside other systems, and the targets."""
