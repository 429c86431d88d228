"""Model judges: what they are asked, how pairs and single answers are judged, how human labels calibrate them."""
