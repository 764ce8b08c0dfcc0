"""Creating a lab (`up`) and removing it (`destroy`)."""
