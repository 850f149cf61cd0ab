"""What only a whole machine shows: systemd's units, a reboot, control groups v2. Run in a throw-away one, of scripts/vm."""
