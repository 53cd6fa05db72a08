"""How good a published actor is: the paper's tables, flicker, speed, and the transfer against its right answer."""
