"""What the routes of the lookup API stand on."""
