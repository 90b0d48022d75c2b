# SPDX-License-Identifier: Apache-2.0
# Tests, benchmark, demo, lint. Every goal that runs tests prints a closing line `N passed, N failed`.

# ---- unit tests: tests/unit/** mirrors the rooms ------------------------------------------------------------
UNIT_SRC := $(sort $(shell find tests/unit -name '*_test.c' 2>/dev/null))
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
UNIT_FILTER = $(if $(T),$(foreach b,$(UNIT_BIN),$(if $(findstring $(T),$(b)),$(b))),$(UNIT_BIN))
# A test of a room links that room and all it may use; the kernel's rooms stay out unless named here.
UNIT_ROOMS := endpoint base conflist object kube source store report policy sim review flow suggest sink recorder metrics control cli daemon
BPFTEST_SRC := $(sort $(wildcard tests/bpf/*_test.c))
BPFTEST_BIN := $(BPFTEST_SRC:%.c=$(B)/%)
BPFTEST_FILTER = $(if $(T),$(foreach b,$(BPFTEST_BIN),$(if $(findstring $(T),$(b)),$(b))),$(BPFTEST_BIN))
E2E := $(sort $(wildcard tests/e2e/*_test.sh))
E2E_FILTER = $(if $(T),$(foreach b,$(E2E),$(if $(findstring $(T),$(b)),$(b))),$(E2E))
HARNESS_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(filter-out %.bpf.c tests/harness/traffic%,$(wildcard tests/harness/*.c))))
TRAFFIC_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/harness/traffic*.c)) tests/harness/packet.c)
E2E_TOOLS := $(B)/tests/harness/traffic $(B)/tests/harness/foreign.bpf.o $(B)/tests/apiserver/apiserver

$(B)/tests/%.o: CPPFLAGS += -Werror=unused-function

$(B)/tests/unit/%_test: $(B)/tests/unit/%_test.o $(B)/lib/harness.a $(call archives,$(UNIT_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/lib/harness.a $(call link,$(UNIT_ROOMS)) -lcmocka

$(B)/tests/unit/cni/%_test: $(B)/tests/unit/cni/%_test.o $(B)/lib/harness.a $(B)/lib/cni.a $(call archives,base)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_base) -lcmocka

# These start the stand-in server.
$(B)/tests/unit/kube/reflect_test $(B)/tests/unit/kube/http_test $(B)/tests/unit/source/kube_test: | $(B)/tests/apiserver/apiserver

$(B)/lib/harness.a: $(HARNESS_OBJ)
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/harness/traffic: $(TRAFFIC_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# For containers, which hold nothing else: without shared libraries, without sanitizers.
$(B)/tests/harness/traffic-static: $(wildcard tests/harness/traffic*.[ch]) tests/harness/packet.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) -O2 -std=gnu17 -static -o $@ $(filter %.c,$^)

$(BPFTEST_SRC:%.c=$(B)/%.o): | $(SKEL) $(TEST_SKEL)
$(B)/tests/harness/bpfprog.o $(B)/tests/harness/bpfprog_tables.o: | $(SKEL)
$(B)/tests/bpf/%_test: $(B)/tests/bpf/%_test.o $(B)/lib/harness.a $(call archives,$(AGENT_ROOMS) sim)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/lib/harness.a $(call link,$(AGENT_ROOMS) sim) -lcmocka

# ---- other builds of the agent, to change over to and back: the next one's programs are other instructions of the same
# meaning, its version and commit others; the last one's tables are of another layout --------------------------------------
NEXT := $(B)/next
NEXT_OBJ := $(patsubst %.c,$(NEXT)/%.o,$(shell grep -lE '(skel|"commit)\.h"' agent/main.c agent/bpf/*.c agent/daemon/*.c))
NEXT_SKEL := $(SKEL:$(B)/%=$(NEXT)/%)
.SECONDARY: $(NEXT_SKEL) $(BPF_OBJ:$(B)/%=$(NEXT)/%)

$(NEXT)/bpf/%.bpf.o: datapath/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -Os -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@ $<

$(NEXT)/commit.h:
	@mkdir -p $(@D)
	@echo '#define COMMIT "next"' > $@

$(NEXT)/%.o: %.c | $(NEXT_SKEL) $(NEXT)/commit.h
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -I$(NEXT) $(CPPFLAGS) -UVERSION -DVERSION='"$(VERSION)-next"' $(CFLAGS) $(NL_CFLAGS) -MMD -MP -c -o $@ $<

$(NEXT)/abi/%.o: %.c tests/harness/other_abi.h | $(SKEL)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) -include tests/harness/other_abi.h $(CFLAGS) -MMD -MP -c -o $@ $<

$(NEXT)/bulkheadd: $(NEXT_OBJ) $(call archives,$(AGENT_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(NEXT_OBJ) $(call link,$(AGENT_ROOMS))

$(NEXT)/bulkheadd-abi: $(B)/agent/main.o $(NEXT)/abi/agent/bpf/tables.o $(call archives,$(AGENT_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(call link,$(AGENT_ROOMS))

# ---- conformance: cases in both engines ---------------------------------------------------------------------
CONF_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/conformance/*.c)))
CONF_ROOMS := base object source store policy sim control
CASES ?= $(sort $(wildcard tests/conformance/cases/*.jsonl $(or $(SHARED),../shared)/cases/*.jsonl))

$(B)/tests/conformance/conformance: $(CONF_OBJ) $(call archives,$(CONF_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CONF_OBJ) $(call link,$(CONF_ROOMS)) -lmnl

.PHONY: conformance
conformance: all $(B)/tests/conformance/conformance ## case files, by the simulator and by the kernel (root; T=text, CASES=files)
	$(Q)status=0; for cases in $(CASES); do for engine in sim kernel; do \
		printf '%s %s\n' $$engine $$cases; \
		B=$(B) tests/conformance/run --engine $$engine --cases $$cases $(if $(T),--filter '$(T)') || status=1; \
	done; done; exit $$status

# ---- apiserver: a stand-in for a Kubernetes API server, for tests only -------------------------------------------
APISERVER := $(B)/tests/apiserver/apiserver
APISERVER_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/apiserver/*.c)))
APISERVER_ROOMS := base object source store control

$(APISERVER): $(APISERVER_OBJ) $(call archives,$(APISERVER_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(APISERVER_OBJ) $(call link,$(APISERVER_ROOMS)) \
		-levent_openssl -lssl -lcrypto -lz

# ---- kube: the API client beside the stand-in ---------------------------------------------------------------------
KUBETEST_SRC := $(sort $(wildcard tests/kube/*_test.c))
KUBETEST_BIN := $(KUBETEST_SRC:%.c=$(B)/%)
KUBETEST_FILTER = $(if $(T),$(foreach b,$(KUBETEST_BIN),$(if $(findstring $(T),$(b)),$(b))),$(KUBETEST_BIN))
KUBETEST_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(KUBETEST_SRC),$(wildcard tests/kube/*.c)))
KUBETEST_ROOMS := base object store kube source report control

$(B)/tests/kube/%_test: $(B)/tests/kube/%_test.o $(KUBETEST_OBJ) $(B)/lib/harness.a $(call archives,$(KUBETEST_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(KUBETEST_OBJ) $(B)/lib/harness.a $(call link,$(KUBETEST_ROOMS)) -lcmocka

.PHONY: kube
kube: $(KUBETEST_FILTER) $(APISERVER) ## the API client against a stand-in server and recorded traffic (T=name for some)
	$(Q)B=$(B) tests/run -l $(B)/tests/log/kube $(KUBETEST_FILTER)

# ---- sink: records at real collectors ------------------------------------------------------------------------------
SINKTEST_SRC := $(sort $(wildcard tests/sink/*_test.c))
SINKTEST_BIN := $(SINKTEST_SRC:%.c=$(B)/%)
SINKTEST_FILTER = $(if $(T),$(foreach b,$(SINKTEST_BIN),$(if $(findstring $(T),$(b)),$(b))),$(SINKTEST_BIN))
SINKTEST_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(SINKTEST_SRC),$(wildcard tests/sink/*.c)))
SINKTEST_ROOMS := base object store flow sink

$(B)/tests/sink/%_test: $(B)/tests/sink/%_test.o $(SINKTEST_OBJ) $(B)/lib/harness.a $(call archives,$(SINKTEST_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(SINKTEST_OBJ) $(B)/lib/harness.a $(call link,$(SINKTEST_ROOMS)) -lcmocka

.PHONY: sinks
sinks: $(SINKTEST_FILTER) ## flow records at the collectors of Debian: nfcapd, rsyslog (root; T=name for some)
	$(Q)B=$(B) tests/run -l $(B)/tests/log/sink $(SINKTEST_FILTER)

# ---- diff: the kernel against the naive evaluator ----------------------------------------------------------
DIFF_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/diff/*.c)))
DIFF_ROOMS := base object source store policy bpf
COUNT ?= 100000
SEED ?= 1

$(B)/tests/diff/diff: $(DIFF_OBJ) $(B)/lib/harness.a $(call archives,$(DIFF_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(DIFF_OBJ) $(B)/lib/harness.a $(call link,$(DIFF_ROOMS)) -lcmocka

.PHONY: diff
diff: $(B)/tests/diff/diff ## random objects and packets, the kernel against a naive evaluator (root; COUNT=verdicts, SEED=n)
	$(Q)$(B)/tests/diff/diff --verdicts $(COUNT) --seed $(SEED)

# ---- packets: the kernel's reading of hostile packets against the host's ------------------------------------
PACKETS_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/packets/*.c)))
PACKETS ?= 1000000

$(B)/tests/packets/packets: $(PACKETS_OBJ) $(B)/lib/harness.a $(call archives,base)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(PACKETS_OBJ) $(B)/lib/harness.a $(call link,base) -lbpf -lelf -lz -lcmocka

.PHONY: packets
packets: $(B)/tests/packets/packets ## hostile packets, as the kernel reads them and as the host does (root; PACKETS=n, SEED=n)
	$(Q)$< --packets $(PACKETS) --seed $(SEED) tests/fuzz/corpus/packet $(wildcard $(B)/fuzz/corpus/packet)

# ---- soak: the agent under random change for a long time -----------------------------------------------------
SOAK_SECONDS ?= 300
SOAK_CYCLES ?= 250
SOAK_CHURN ?= 100000
SOAK_STARTS ?= 1000
SOAK_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(filter-out tests/soak/churn.c,$(wildcard tests/soak/*.c)))) \
	    $(patsubst %,$(B)/tests/conformance/%.o,agent feed flow netlink probe rig rig_wire sandbox) \
	    $(patsubst %,$(B)/tests/diff/%.o,world world_policy world_service)
SOAK_ROOMS := base object source store policy sim bpf control

$(B)/tests/soak/soak: $(SOAK_OBJ) $(B)/lib/harness.a $(call archives,$(SOAK_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(SOAK_OBJ) $(B)/lib/harness.a $(call link,$(SOAK_ROOMS)) -lcmocka

CHURN_OBJ := $(patsubst %,$(B)/tests/soak/%.o,churn census holding)

$(B)/tests/soak/churn.o: | $(SKEL)
$(B)/tests/soak/churn: $(CHURN_OBJ) $(B)/lib/harness.a $(call archives,$(AGENT_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CHURN_OBJ) $(B)/lib/harness.a $(call link,$(AGENT_ROOMS)) -lcmocka

.PHONY: soak churn
soak: all churn $(B)/tests/soak/soak $(B)/tests/harness/traffic ## a running agent under random change (root; SOAK_SECONDS=n, SOAK_CYCLES=n, SOAK_CHURN=n, SOAK_STARTS=n, SEED=n)
	$(Q)$(B)/tests/soak/soak --seconds $(SOAK_SECONDS) --cycles $(SOAK_CYCLES) --seed $(SEED) \
		--bulkheadd $(B)/bulkheadd --traffic $(B)/tests/harness/traffic
	$(Q)$(if $(filter-out 0,$(SOAK_STARTS)),$(MAKE) --no-print-directory runtime T=start STARTS=$(SOAK_STARTS) TEST_TIMEOUT=3600)

churn: $(B)/tests/soak/churn ## the part of `soak` without links: endpoints, slots and classes come and go (root; SOAK_CHURN=n)
	$(Q)$< $(SOAK_CHURN)

# The same by way of an API server, which fails in every way it can.
CHAOS_SECONDS ?= 300

.PHONY: chaos
chaos: all $(B)/tests/soak/soak $(B)/tests/harness/traffic $(APISERVER) ## a running agent beside an API server that fails (root; CHAOS_SECONDS=n, SEED=n)
	$(Q)B=$(B) $(B)/tests/soak/soak --api --seconds $(CHAOS_SECONDS) --seed $(SEED) \
		--bulkheadd $(B)/bulkheadd --traffic $(B)/tests/harness/traffic

# ---- cni: the plugin, run directly by the specification ---------------------------------------------------------------
CNITEST := $(sort $(wildcard tests/cni/*_test.sh))
CNITEST_FILTER = $(if $(T),$(foreach t,$(CNITEST),$(if $(findstring $(T),$(t)),$(t))),$(CNITEST))

.PHONY: cni
cni: all $(E2E_TOOLS) ## the CNI plugin by the specification: commands, versions, errors, packets (root; T=name for some)
	$(Q)B=$(B) TEST_TIMEOUT=120 tests/run -l $(B)/tests/log/cni $(CNITEST_FILTER)

# ---- benchmark of the programs, beside the yardsticks of the shared folder ---------------------------------------------
SHARED ?= $(or $(BULKHEAD_SHARED),../shared)
ROUNDS ?= 15

$(B)/bench/%.bpf.o: $(SHARED)/perf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -I$(SHARED)/perf -c -o $@ $<

# The floor whose hits write nothing into the entry.
$(B)/bench/floor_ro.bpf.o: $(SHARED)/perf/floor.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -I$(SHARED)/perf -DCT_RO -c -o $@ $<

BENCH_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(filter-out %.bpf.c,$(wildcard tests/bench/*.c))))
BENCH_ROOMS := base object source store policy bpf

$(BENCH_OBJ): | $(SKEL) $(B)/tests/bench/rotate.skel.h
$(B)/tests/bench/bench: $(BENCH_OBJ) $(B)/lib/harness.a $(call archives,$(BENCH_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(BENCH_OBJ) $(B)/lib/harness.a $(call link,$(BENCH_ROOMS)) -lcmocka -lm

SCALE_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/bench/scale/*.c)))
EVENTS ?= 200

$(B)/tests/bench/scale/scale: $(SCALE_OBJ) $(B)/lib/harness.a $(call archives,$(AGENT_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(SCALE_OBJ) $(B)/lib/harness.a $(call link,$(AGENT_ROOMS)) -lcmocka

METER_OBJ := $(patsubst %,$(B)/tests/bench/%.o,watch/meter watch/objects scale/shape)
METER_ROOMS := base object control

$(B)/tests/bench/watch/meter: $(METER_OBJ) $(call archives,$(METER_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(METER_OBJ) $(call link,$(METER_ROOMS))

TRAFFIC_ROUNDS ?= 100
TRAFFIC_MS ?= 5
BENCH_TRAFFIC_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/bench/traffic/*.c)) tests/bench/measure.c)
YARDSTICKS := $(patsubst %,$(B)/bench/%.bpf.o,empty floor floor_ro)

$(B)/tests/bench/traffic/traffic: $(BENCH_TRAFFIC_OBJ) $(B)/lib/harness.a $(call archives,$(BENCH_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(BENCH_TRAFFIC_OBJ) $(B)/lib/harness.a $(call link,$(BENCH_ROOMS)) -lcmocka -lm

$(B)/tests/bench/cni/chain: $(B)/tests/bench/cni/chain.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -ljson-c

$(B)/tests/bench/flows/offer: $(B)/tests/bench/flows/offer.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

RECORDS_ROOMS := base object flow sink

$(B)/tests/bench/sink/sink: $(B)/tests/bench/sink/sink.o $(B)/lib/harness.a $(call archives,$(RECORDS_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/lib/harness.a $(call link,$(RECORDS_ROOMS))

.PHONY: bench scale traffic watch starts flows records
records: $(B)/tests/bench/sink/sink ## the part of `bench` about flow records: what each costs on its way out
	$(Q)dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $< "$$dir"

bench: $(B)/tests/bench/flows/offer $(B)/tests/bench/cni/chain $(B)/tests/harness/traffic-static $(B)/tests/bench/watch/meter
bench: $(B)/tests/bench/traffic/traffic $(YARDSTICKS)
bench: $(B)/tests/bench/scale/scale
bench: $(B)/tests/bench/sink/sink
bench: $(B)/tests/bench/bench all $(E2E_TOOLS) ## ns per packet, the agent's memory, large clusters, real traffic (root; ROUNDS=n T=name)
	$(Q)$< $(B)/bench/empty.bpf.o $(B)/bench/floor.bpf.o $(ROUNDS) $(if $(T),'$(T)')
	$(Q)$(if $(T),true,B=$(B) tests/bench/agent)
	$(Q)$(if $(T),true,B=$(B) tests/bench/agent full)
	$(Q)$(if $(T),true,$(B)/tests/bench/scale/scale $(EVENTS))
	$(Q)$(if $(T),true,$(B)/tests/bench/traffic/traffic $(B)/bench $(TRAFFIC_ROUNDS) $(TRAFFIC_MS))
	$(Q)for shape in 1k 10k 50k; do $(if $(T),true,B=$(B) tests/bench/watch/run $$shape); done
	$(Q)$(if $(T),true,B=$(B) tests/bench/cni/run)
	$(Q)$(if $(T),true,$(MAKE) --no-print-directory records)
	$(Q)$(if $(T),true,B=$(B) tests/bench/flows/run)

flows: $(B)/tests/bench/flows/offer all $(E2E_TOOLS) ## the part of `bench` about flow logs: new connections at a rate, recorded to a file (root; RATES="n n")
	$(Q)B=$(B) tests/bench/flows/run $(RATES)

starts: $(B)/tests/bench/cni/chain $(B)/tests/harness/traffic-static all $(E2E_TOOLS) ## the part of `bench` about a pod's start: what the CNI plugin adds (root; PAIRS=n)
	$(Q)B=$(B) $(if $(PAIRS),PAIRS=$(PAIRS)) tests/bench/cni/run

watch: $(B)/tests/bench/watch/meter all $(E2E_TOOLS) ## the part of `bench` about an API server: reading a cluster, events until in force (root; T=1k, 10k or 50k)
	$(Q)for shape in $(or $(T),1k 10k 50k); do B=$(B) tests/bench/watch/run $$shape; done

scale: $(B)/tests/bench/scale/scale ## the part of `bench` about large clusters: compile time, memory, events (root; EVENTS=n)
	$(Q)$< $(EVENTS)

traffic: $(B)/tests/bench/traffic/traffic $(YARDSTICKS) ## the part of `bench` with real traffic, beside other engines (root; TRAFFIC_ROUNDS=n, TRAFFIC_MS=n, T=kind or engine)
	$(Q)$< $(B)/bench $(TRAFFIC_ROUNDS) $(TRAFFIC_MS) $(if $(T),'$(T)')

.PHONY: unit bpf stall e2e lint check
unit: $(UNIT_FILTER) ## unit tests (T=name for some)
	$(Q)tests/run -l $(B)/tests/log/unit $(UNIT_FILTER)

bpf: $(BPFTEST_FILTER) ## tests of the BPF programs in the kernel (root)
	$(Q)tests/run -l $(B)/tests/log/bpf $(BPFTEST_FILTER)

stall: $(B)/tests/bpf/stall_test ## the test of `bpf` that holds readers amid changes, at each place and load and not at one in eight (root; takes long)
	$(Q)STALL_ALL=1 TEST_TIMEOUT=3600 tests/run -l $(B)/tests/log/stall $<

e2e: ## end-to-end tests in network namespaces, by tcx and by clsact (root; T=name for some)
	$(Q)$(MAKE) --no-print-directory e2e-run ATTACH=tcx
	$(Q)$(MAKE) --no-print-directory e2e-run ATTACH=clsact

.PHONY: e2e-run demo asan format
e2e-run: all $(E2E_TOOLS) $(NEXT)/bulkheadd $(NEXT)/bulkheadd-abi
	$(Q)B=$(B) ATTACH=$(ATTACH) TEST_TIMEOUT=240 tests/run -j $$((2 * $$(nproc))) -l $(B)/tests/log/e2e-$(or $(ATTACH),auto) $(E2E_FILTER)

# The manifests, and the agent as they start it: tests of its own, and end-to-end tests in its container.
DEPLOY := $(sort $(wildcard tests/deploy/*_test.sh)) $(patsubst %,tests/e2e/%_test.sh,adopt bridged foreign live node service_mixed)
.PHONY: deploy
deploy: all image-root $(E2E_TOOLS) ## the manifests of deploy/, and the agent confined as they say (root; T=name for some)
	$(Q)B=$(B) UNDER=$(CURDIR)/tests/deploy/contain TEST_TIMEOUT=300 tests/run -l $(B)/tests/log/deploy \
		$(if $(T),$(foreach t,$(DEPLOY),$(if $(findstring $(T),$(t)),$(t))),$(DEPLOY))

# Containers started by podman, whose first packets are looked at.
RUNTIME := $(sort $(wildcard tests/runtime/*_test.sh))
RUNTIME_TOOLS := $(E2E_TOOLS) $(B)/tests/harness/traffic-static $(B)/tests/runtime/census
CENSUS_OBJ := $(patsubst %,$(B)/tests/%.o,runtime/census soak/census soak/holding)
STARTS ?= 200

$(B)/tests/runtime/census: $(CENSUS_OBJ) $(call archives,$(BENCH_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CENSUS_OBJ) $(call link,$(BENCH_ROOMS))

.PHONY: runtime
runtime: all $(RUNTIME_TOOLS) ## the CNI plugin under podman: containers from their first packet on (root; T=name, STARTS=n)
	$(Q)B=$(B) STARTS=$(STARTS) TEST_TIMEOUT=$(or $(TEST_TIMEOUT),600) tests/run -l $(B)/tests/log/runtime $(if $(T),$(foreach t,$(RUNTIME),$(if $(findstring $(T),$(t)),$(t))),$(RUNTIME))

asan: ## unit tests with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory SAN=1 B=$(B)/asan unit

lint: $(BPF_OBJ) $(SKEL) $(TEST_SKEL) ## licence lines, layers, headers alone, kernel floor, shellcheck
	$(Q)B=$(B) tests/lint/run

format: ## rewrite the layout of every tracked C file by .clang-format
	$(Q)git ls-files -z '*.c' '*.h' | xargs -0 $(firstword $(wildcard /usr/bin/clang-format-14) clang-format) -i

# These two start from nothing: packages first, then a make of its own that sees the tools just installed.
demo: ## three pods, a few policies, and what changes: shows itself in a few seconds (root)
	@sh mk/deps.sh
	$(Q)$(MAKE) --no-print-directory -s all $(E2E_TOOLS)
	$(Q)B=$(B) deploy/demo/run

check: ## every suite; the last line sums them all (root)
	@sh mk/deps.sh
	$(Q)B=$(B) MAKE='$(MAKE)' tests/check

# ---- fuzzing: libFuzzer over the rooms that read what others wrote -----------------------------------------------------
FUZZ_SECONDS ?= 60
# 0: another one each time
FUZZ_SEED ?= 0
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)
FUZZ_FILTER = $(if $(T),$(foreach b,$(FUZZ_BIN),$(if $(findstring $(T),$(b)),$(b))),$(FUZZ_BIN))
FUZZ_ROOMS := base conflist object kube source policy flow sink control
FUZZ_OBJ := $(foreach r,$(FUZZ_ROOMS),$(patsubst %.c,$(B)/fuzz/%.o,$(call room_src,$(r)))) $(B)/fuzz/agent/store/store.o $(B)/fuzz/agent/daemon/ops_objects.o \
	    $(patsubst %.c,$(B)/fuzz/%.o,$(sort $(wildcard tests/harness/naive*.c)) tests/harness/record.c) \
	    $(patsubst %,$(B)/fuzz/cni/%.o,conf env member prev result)
FUZZ_CFLAGS := -std=gnu17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -Wno-gnu-variable-sized-type-not-at-end

$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)$(CLANG) -I. -Iinclude -I$(B) -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(B)/fuzz/%_fuzz: tests/fuzz/%_fuzz.c $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(call say,FUZZLD,$@)$(CLANG) -I. -Iinclude -D_GNU_SOURCE $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJ) $(LIB_kube) $(LIB_sink) -lyaml -lpthread

.SECONDARY: $(FUZZ_OBJ)
.PHONY: fuzz
fuzz: $(FUZZ_FILTER) ## mutate objects, manifests, control requests, packets and what the CNI plugin reads (FUZZ_SECONDS=60 for each, FUZZ_SEED=1, T=name for one)
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) tests/fuzz/run $(FUZZ_FILTER)
