"""The process that outlives the daemon: resolver sockets, held host ports, the forwarder."""
