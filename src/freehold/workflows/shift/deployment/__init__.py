"""Files for other programs that keep a gateway running, or stand in front of it: systemd, nginx, Caddy."""
