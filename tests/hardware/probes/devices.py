"""What tests of devices share."""

GIB = 1 << 30
