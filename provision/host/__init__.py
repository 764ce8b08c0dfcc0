"""The machine kubelab runs on: its facts, its programs and its files."""
