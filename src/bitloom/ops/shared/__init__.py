"""What several operators have in common: their families, and how they are lowered and tried."""
