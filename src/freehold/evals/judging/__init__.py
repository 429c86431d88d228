"""Model judges: what they are asked, how pairs and single answers are judged, how people's labels calibrate them."""
