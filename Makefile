# Everything that a person does with this repository. `make` alone lists the targets.
#
# What is built or fetched for the tests is kept in $CLOCKWARDEN_CACHE (default ~/.cache/clockwarden);
# nothing is installed as a daemon, and nothing sets this machine's clock.

SHELL := bash
CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_MUTANTS_VERSION := 27.1.0
SARIF_TOOLS_VERSION := 3.0.5
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60
# Random days of 200 nodes for the soak; random scenarios of some minutes and a few nodes in `make test`.
SEEDS ?= 10000
DRILLS ?= 2000

# Rounds for each fault: a number, or `long` for those of the table in docs/faults.md.
ROUNDS ?= long

# Of `make scale`: numbers of nodes, one trial each; its other flags (`--help` lists them).
NODES ?= 50,1000,5000
SCALE_FLAGS ?=

# An error of a test is its chain of causes; where it was made adds fifty lines of the runtime.
export RUST_LIB_BACKTRACE ?= 0
# KEEP=1 leaves the demo running.
export KEEP

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt clippy deny bench scale hostile instructions sarif fuzz faults mutants coverage scenarios soak crds clean prerequisites tools guest control-plane

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: prerequisites tools control-plane ## Show the whole story on a real control plane (KEEP=1 leaves it running)
	@echo "demo: building clockwarden"
	@$(CARGO) build --locked --bin clockwarden --example demo
	@scripts/tools -- $(CARGO) run --locked --quiet --example demo

test: prerequisites tools guest control-plane ## Run all tests, also those on a real API server and real clocks
	@echo "test: building and running all tests"
	@scripts/tools -- $(CARGO) test --locked --no-fail-fast
	@echo "test: drilling the controller in $(DRILLS) random scenarios (release build)"
	@$(CARGO) run --locked --release --quiet --example soak -- --short --seeds $(DRILLS) --no-month
	@$(MAKE) --no-print-directory instructions

check: fmt clippy deny ## Check the format, the lints, licences and advisories

fmt:
	$(CARGO) fmt --check

clippy: prerequisites
	$(CARGO) clippy --locked --all-targets -- -D warnings

# The advisories come over the network; not to have looked is not to have found nothing.
deny: prerequisites
	@deny=$$(scripts/cargo-tool cargo-deny $(CARGO_DENY_VERSION)) && \
	echo "deny: bans, licences, sources" && \
	"$$deny" --locked check --hide-inclusion-graph bans licenses sources && \
	echo "deny: advisories" && \
	if "$$deny" --locked fetch db; then "$$deny" --locked check --hide-inclusion-graph advisories; \
	else echo "deny: the advisories were NOT checked, their database cannot be fetched (make check OFFLINE=1 accepts that)"; \
	  [ -n "$(OFFLINE)" ]; fi

bench: prerequisites ## Measure the webhook against a handler that admits everything, and lint against a parser (builds what is shipped)
	$(CARGO) bench --locked --profile dist --bench webhook
	$(CARGO) bench --locked --profile dist --bench lint

# In a network of its own: one process listens for the agents of all nodes, at every address.
scale: prerequisites control-plane ## Measure the controller with NODES=50,1000,5000 nodes (half an hour)
	@$(CARGO) build --locked --release --bin clockwarden
	@$(CARGO) build --locked --release --example scale
	@[ "$$(id -u)" = 0 ] || as=--map-root-user; \
	unshare $$as --net sh -c 'ip link set lo up && exec "$$0" "$$@"' \
	  $(or $(CARGO_TARGET_DIR),target)/release/examples/scale --nodes $(NODES) $(SCALE_FLAGS)

# Of `make hostile`.
REVIEWS ?= 100000

# KIND='near misses' posts only those whose name begins so.
hostile: prerequisites ## Post REVIEWS (100000) hostile reviews to what is shipped, and tell times and memory (an hour and more)
	@$(CARGO) build --locked --profile dist --bin clockwarden
	@CLOCKWARDEN_HOSTILE_BINARY=$(abspath $(or $(CARGO_TARGET_DIR),target))/dist/clockwarden REVIEWS=$(REVIEWS) KIND='$(KIND)' \
	  $(CARGO) test --locked --release --test webhook hostile -- --nocapture

# UPDATE_GOLDEN=1 writes the numbers down.
instructions: prerequisites ## Count the instructions of a review, and hold them against benches/instructions.txt (a minute)
	@$(CARGO) build --locked --release --quiet --example instructions
	@echo "instructions: of one review, and how far from benches/instructions.txt"
	@scripts/instructions $(or $(CARGO_TARGET_DIR),target)/release/examples/instructions

# The schema is held by `make test`; this needs PyPI.
sarif: prerequisites ## Let a reader that is not ours read what lint writes as SARIF (needs python3 and PyPI)
	@$(CARGO) build --locked --quiet --bin clockwarden
	@scripts/sarif $(or $(CARGO_TARGET_DIR),target)/debug/clockwarden $(SARIF_TOOLS_VERSION) tests/corpus tests/lint/project examples

# Without a sanitizer the stable compiler will do: the parsers have no unsafe code that one would watch. FUZZ=yaml fuzzes
# one target or format alone.
fuzz: prerequisites ## Fuzz every parser and format for FUZZ_SECONDS (60) each
	@command -v c++ >/dev/null || { echo "fuzz: libFuzzer needs a C++ compiler: apt-get install g++"; exit 2; }
	@fuzz=$$(scripts/cargo-tool cargo-fuzz $(CARGO_FUZZ_VERSION)) && scripts/fuzz "$$fuzz" $(FUZZ_SECONDS) $(FUZZ)

faults: prerequisites tools control-plane ## Let every fault strike a real control plane, ROUNDS times, and print the table
	@echo "faults: ROUNDS=$(ROUNDS), an hour if it is long; the log is target/faults.log"
	@set -o pipefail; $(CARGO) build --locked --tests --bin clockwarden && \
	ROUNDS=$(ROUNDS) scripts/tools -- $(CARGO) test --locked --no-fail-fast --test cluster -- \
	  controller::faults --nocapture --test-threads=1 >target/faults.log 2>&1; status=$$?; \
	awk '/^\| / && !seen[$$0]++ { print } /^\| fault / && !n++ { print "|---|---:|---:|---:|---:|---:|" }' target/faults.log; \
	grep '^test result' target/faults.log; exit $$status

# MUTANTS passes arguments on, for example MUTANTS="-f src/clock/fuse.rs".
mutants: prerequisites ## Change the pure core in a thousand ways, and list what no test notices (an hour on 2 idle cores)
	@mutants=$$(scripts/cargo-tool cargo-mutants $(CARGO_MUTANTS_VERSION)) && scripts/mutants "$$mutants" $(MUTANTS)

# The core is built by itself; for the rest the whole library is built once more.
coverage: prerequisites ## Tell which lines of the pure core and of the controller the tests run (MISSED=1 lists the others)
	@echo "coverage: src/clock and src/policy" && scripts/coverage core
	@echo "coverage: src/controller" && FILES='^src/controller/' scripts/coverage crate controller::

scenarios: prerequisites ## Run a simulated fleet through every fault, and write the table in docs/scenarios.md
	@$(CARGO) run --locked --quiet --example scenarios

# A failing seed is shrunk and printed as a scenario; SEED=… begins elsewhere.
soak: prerequisites ## Put the controller through SEEDS (10000) random days of 200 nodes, and a month of 1,000
	@$(CARGO) run --locked --release --quiet --example soak -- --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

crds: prerequisites ## Write crds/*.yaml and those of deploy/install.yaml from the Rust types
	@$(CARGO) build --locked --quiet --bin clockwarden
	@set -o pipefail; $(CARGO) run --locked --quiet --bin clockwarden -- crds | scripts/crds crds deploy/install.yaml

clean: ## Remove what cargo has built here (the cache of the test tools stays)
	$(CARGO) clean

prerequisites: ## Look for Rust, Go and a C compiler (as root with apt: install the compiler)
	@scripts/prerequisites

tools: ## Find or fetch chronyd, libfaketime, node_exporter and Prometheus
	@scripts/tools

# Exit 2: there can be none here, which the test says once more when it is skipped.
guest: ## Find or fetch a virtual machine, whose clock the tests may set (CLOCKWARDEN_TEST_GUEST=off: do without)
	@said=$$(scripts/guest); case $$? in 0) echo "$$said" ;; 2) echo "guest: none can be had here: $$said" ;; *) exit 2 ;; esac

control-plane: prerequisites ## Build etcd and Kubernetes for the tests (7 minutes once)
	@bin=$$(tests/control-plane/build) && echo "control plane: $$bin"
