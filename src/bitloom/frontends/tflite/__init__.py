"""TFLite files as integer graphs, and in real numbers as float graphs."""
