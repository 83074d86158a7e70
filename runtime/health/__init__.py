"""What a running reader says about itself: to browsers, to Prometheus and to systemd."""
