# Each target is one line; `make lab` and `make test` work on a fresh Debian machine.
.PHONY: lab check lint fast-tests test faults fuzz e2e e2e-addons e2e-busy e2e-faults e2e-life e2e-mirror e2e-newcomer e2e-sabotage bench lock clean
PYTHON ?= python3
SUITE ?= bookworm
ONLY ?=
DOCUMENTS ?= 100000
BIN = .venv/bin
# Images of Python set it, and then each of the thousand programs that the tests start is compiled anew.
unexport PYTHONDONTWRITEBYTECODE
STAMP = .venv/.installed

lab: $(STAMP)
	@test -f lab.yaml || $(BIN)/kubelab init
	$(BIN)/kubelab doctor --fix && $(BIN)/kubelab up

# Both at once; the tests wait enough for programs that three at a time fill two cores.
check: $(STAMP)
	$(MAKE) --no-print-directory --jobs=2 lint fast-tests

lint: $(STAMP)
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports --no-cache --no-logo

fast-tests: $(STAMP)
	TMPDIR=$$($(BIN)/python -m tests.folder) $(BIN)/pytest -n 3

test: check e2e

# ONLY='part of a name': only these.
faults: $(STAMP)
	$(BIN)/python -m tests.faults --only "$(ONLY)"

fuzz: $(STAMP)
	KUBELAB_FUZZ=$(DOCUMENTS) $(BIN)/pytest tests/unit/config/test_fuzz.py

e2e: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e/lab.yaml && $(BIN)/pytest tests/e2e

e2e-sabotage: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e/lab.yaml && $(BIN)/pytest tests/sabotage

# A lab with volumes, load balancers and metrics, off and on and put back.
e2e-addons: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e_addons/lab.yaml && $(BIN)/pytest -s tests/e2e_addons

# As much other work as the host has cores; 20 to 40 minutes on two cores without hardware virtualisation.
e2e-busy: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/busy/lab.yaml && $(BIN)/pytest -s tests/busy

# kubelab, libvirtd and the disk are broken on purpose; about 20 minutes on two cores without hardware virtualisation.
e2e-faults: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e_faults/lab.yaml && $(BIN)/pytest -s tests/e2e_faults

# A lab whose file is edited, whose workers come and go, and that is off and on again; about 40 minutes.
e2e-life: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e_life/lab.yaml && $(BIN)/pytest -s tests/e2e_life

# Needs the Debian packages skopeo and docker-registry.
e2e-mirror: $(STAMP)
	$(BIN)/kubelab doctor --fix --file tests/e2e/lab.yaml && $(BIN)/python -m tests.e2e.real_mirror --cluster

# A fresh Debian 12 in systemd-nspawn (SUITE=trixie: 13), and an ordinary user's first hour on it. Needs root.
e2e-newcomer: $(STAMP)
	$(BIN)/python -m tests.newcomer --suite $(SUITE)

bench: $(STAMP)
	$(BIN)/python -m tests.bench --cluster

# Exact versions with their digests: what the commands above install.
lock: $(STAMP)
	$(BIN)/pip-compile --quiet --extra=dev --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file=requirements.lock pyproject.toml

$(STAMP): requirements.lock pyproject.toml scripts/venv.sh
	sh scripts/venv.sh $(PYTHON) .venv

clean:
	rm -rf .venv build dist
