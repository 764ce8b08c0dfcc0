"""What a cluster needs after time travel: clocks, certificates, heartbeats, routes and pods put right."""
