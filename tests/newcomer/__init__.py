"""A newcomer's first hour: a fresh Debian, an ordinary user, a clean clone, the README's commands."""
