"""Training data: footage, prepared arrays, the split, the plate, and the pairs that training sees."""
