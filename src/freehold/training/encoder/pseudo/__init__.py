"""What messages without a right answer are likely to be."""
