"""What others read: the report, and the console's views."""
