"""What tests share: `tests/fakes/ROOM` stands in for `provision/ROOM`; programs for PATH are in `stubs`."""
