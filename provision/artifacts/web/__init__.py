"""Downloads: requests, their errors, and files that are whole or not there."""
