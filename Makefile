# distdb: `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

N ?= 3
SEEDS ?= 200
LAB ?= all
# What is fuzzed, and for how many seconds each.
TARGET ?= all
TIME ?= 600
# How long a soak lasts.
MINUTES ?= 30
PREFIX ?= /usr/local
DESTDIR ?=
# Shell tests at a time: they wait more than they work.
JOBS ?= $(shell echo $$((2 * $$(nproc))))

BUILT := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
RELEASE := $(BUILT)/release
SCRIPTS := .ci/run .ci/tools .ci/advisories $(wildcard tests/*.sh spec/*.sh tests/bats/*.bash)
# Not known to shellcheck: what bats and common.bash define, and that each test is a process.
BATS_EXCLUDED := SC2004,SC2016,SC2030,SC2031,SC2034,SC2154,SC2317
UNITS := lib/systemd/system

.PHONY: build test cluster cluster-stop verify fix spec spec-quick spec-full sim trace-check trace-quick fuzz fuzz-quick \
    soak mutants bench measure install clean help

build: ## build the release binaries (the default)
	@.ci/tools cargo cc
	cargo build --release --locked -p distdbd -p distdbctl

test: ## run everything that must pass: Rust tests and shell tests
	@.ci/tools cargo cc bats parallel socat jq script
	cargo build --locked --workspace
	cargo test --locked --workspace
	DISTDB_BIN=$(BUILT)/debug bats --jobs $(JOBS) tests/bats

cluster: build ## start N=3 nodes under ./run, and say how to use them
	@DISTDB_BIN=$(RELEASE) tests/cluster.sh start $(N)

cluster-stop: ## stop the nodes that `make cluster` started
	@tests/cluster.sh stop

verify: ## check format, lints, docs, licences, shell scripts and tidiness; writes nothing
	@.ci/tools cargo cc cargo-fmt cargo-clippy cargo-deny
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	cargo deny check licenses bans sources
	cargo deny --manifest-path tests/fuzz/Cargo.toml check licenses bans sources
	@.ci/advisories
	@if command -v shellcheck >/dev/null; then \
	    shellcheck --external-sources $(SCRIPTS); \
	    shellcheck --exclude=$(BATS_EXCLUDED) tests/bats/*.bats; \
	else \
	    echo 'warning: shellcheck is missing; shell scripts were not checked' >&2; \
	fi
	tests/tidy.sh

fix: ## format, and apply what clippy suggests
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

spec: ## check the TLA+ models
	@[ -n "$${TLC:-}" ] || command -v tlc >/dev/null || .ci/tools java pip
	spec/check.sh

spec-quick: ## check the TLA+ models that take seconds
	@[ -n "$${TLC:-}" ] || command -v tlc >/dev/null || .ci/tools java pip
	spec/check.sh quick

spec-full: ## check all TLA+ models, some of which take minutes
	@[ -n "$${TLC:-}" ] || command -v tlc >/dev/null || .ci/tools java pip
	spec/check.sh full

sim: ## play random histories in the simulator: SEEDS=200 of them, or just SEED=N; LAB=broadcast|causal|raft|all
	cargo run --release --locked --quiet -p tests --bin sim -- --lab $(LAB) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

trace-check: ## hold traces of real clusters, and of SEEDS=200 simulated ones, against the specifications of LAB=all
	@[ -n "$${TLC:-}" ] || command -v tlc >/dev/null || .ci/tools java pip
	@.ci/tools cargo cc bats parallel socat jq script
	cargo build --locked --workspace
	rm -rf $(BUILT)/traces
	@for lab in $(if $(filter all,$(LAB)),broadcast causal raft,$(LAB)); do \
	    TRACES=$(BUILT)/traces/real/$$lab DISTDB_BIN=$(BUILT)/debug \
	        bats --jobs $(JOBS) --filter-tags traced:$$lab tests/bats; \
	done
	cargo build --release --locked --quiet -p tests --bin traces
	$(RELEASE)/traces --lab $(LAB) --real $(BUILT)/traces/real
	@$(MAKE) --no-print-directory trace-quick

trace-quick: ## the same of simulated clusters and recorded traces only
	@[ -n "$${TLC:-}" ] || command -v tlc >/dev/null || .ci/tools java pip
	cargo build --release --locked --quiet -p tests --bin traces
	$(RELEASE)/traces --lab $(LAB) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))
	$(RELEASE)/traces --lab $(LAB) --recorded spec/traces
	$(RELEASE)/traces --lab $(LAB) --seed $(or $(SEED),2) --corrupted

fuzz: ## fuzz for TIME=600 seconds each: TARGET=control_line|peer_frame|node_step|wal|snapshot|txn|all
	@.ci/tools cargo cc c++
	tests/fuzz.sh $(TIME) $(filter-out all,$(TARGET))

fuzz-quick: ## fuzz each for a few seconds, from the inputs in tests/fuzz/corpus
	@$(MAKE) --no-print-directory fuzz TIME=6

soak: ## run real clusters under faults of all kinds for MINUTES=30, drawn from SEED, and judge them
	@.ci/tools cargo cc
	cargo build --release --locked -p distdbd
	cargo run --release --locked --quiet -p tests --bin soak -- --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

mutants: ## plant bugs one by one, and see that the check named for each catches it (20 minutes)
	cargo run --locked --quiet -p tests --bin mutants -- $(MUTANTS)

bench: build ## measure a cluster of three on this machine
	@DISTDB_BIN=$(RELEASE) tests/cluster.sh bench

measure: build ## measure failover, a million keys, restarts and requests in raft mode; 10 minutes
	@.ci/tools jq
	@DISTDB_BIN=$(RELEASE) tests/measure.sh

install: build ## install below DESTDIR and PREFIX=/usr/local, systemd unit included
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/$(UNITS) \
	    $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/share/doc/distdb \
	    $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 0755 $(RELEASE)/distdbd $(RELEASE)/distdbctl $(DESTDIR)$(PREFIX)/bin
	sed 's|/usr/local/|$(PREFIX)/|' distdbd/systemd/distdbd@.service \
	    >$(DESTDIR)$(PREFIX)/$(UNITS)/distdbd@.service
	install -m 0644 distdbd/systemd/distdb.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/distdb.conf
	install -m 0644 distdbd/systemd/node.env.example $(DESTDIR)$(PREFIX)/share/doc/distdb
	$(RELEASE)/distdbctl completion bash \
	    >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/distdbctl
	$(RELEASE)/distdbctl completion zsh \
	    >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_distdbctl
	$(RELEASE)/distdbctl completion fish \
	    >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/distdbctl.fish
	$(RELEASE)/distdbctl man $(DESTDIR)$(PREFIX)/share/man/man1

clean: cluster-stop ## stop the cluster, and remove what was built and what it left
	cargo clean
	rm -rf run

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
