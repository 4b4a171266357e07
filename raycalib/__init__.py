"""raycalib: makes a language model say how likely its answer is to be right, and makes that number true."""
