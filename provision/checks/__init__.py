"""The checks that `kubelab verify` runs: one file a concern, every test's name a sentence."""
