"""What requests to a rented model can cost, did cost, and were answered: on the disk before anything else happens."""
