"""A healthy lab for the shipped checks, to be spoiled by a test."""
