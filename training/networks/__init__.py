"""Networks that only training needs, and layers that train faster on a CPU."""
