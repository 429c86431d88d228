"""What is learned and how: one file a method, over one loop."""
