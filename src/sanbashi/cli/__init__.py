"""What people type: client, output, commands."""
