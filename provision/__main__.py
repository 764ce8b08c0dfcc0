"""`python -m provision` is `kubelab`."""

from provision.cli import main

main()
