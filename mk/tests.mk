# SPDX-License-Identifier: Apache-2.0
# Tests, benchmark, demo, lint. Every goal that runs tests prints a closing line `N passed, N failed`.

# ---- unit tests: tests/unit/** mirrors the rooms ------------------------------------------------------------
UNIT_SRC := $(sort $(shell find tests/unit -name '*_test.c' 2>/dev/null))
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
UNIT_FILTER = $(if $(T),$(foreach b,$(UNIT_BIN),$(if $(findstring $(T),$(b)),$(b))),$(UNIT_BIN))
# A test of a room links that room and all it may use; the kernel's rooms stay out unless named here.
UNIT_ROOMS := base object source store policy sim control cli
BPFTEST_SRC := $(sort $(wildcard tests/bpf/*_test.c))
BPFTEST_BIN := $(BPFTEST_SRC:%.c=$(B)/%)
BPFTEST_FILTER = $(if $(T),$(foreach b,$(BPFTEST_BIN),$(if $(findstring $(T),$(b)),$(b))),$(BPFTEST_BIN))
E2E := $(sort $(wildcard tests/e2e/*_test.sh))
E2E_FILTER = $(if $(T),$(foreach b,$(E2E),$(if $(findstring $(T),$(b)),$(b))),$(E2E))
HARNESS_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(filter-out %.bpf.c tests/harness/traffic%,$(wildcard tests/harness/*.c))))
TRAFFIC_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/harness/traffic*.c)))
E2E_TOOLS := $(B)/tests/harness/traffic $(B)/tests/harness/foreign.bpf.o

$(B)/tests/%.o: CPPFLAGS += -Werror=unused-function

$(B)/tests/unit/%_test: $(B)/tests/unit/%_test.o $(B)/lib/harness.a $(call archives,$(UNIT_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/lib/harness.a $(call link,$(UNIT_ROOMS)) -lcmocka

$(B)/lib/harness.a: $(HARNESS_OBJ)
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/harness/traffic: $(TRAFFIC_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(BPFTEST_SRC:%.c=$(B)/%.o): | $(SKEL) $(TEST_SKEL)
$(B)/tests/bpf/%_test: $(B)/tests/bpf/%_test.o $(B)/lib/harness.a $(call archives,$(AGENT_ROOMS))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/lib/harness.a $(call link,$(AGENT_ROOMS)) -lcmocka

.PHONY: unit bpf e2e lint check
unit: $(UNIT_BIN) ## unit tests (T=name for some)
	$(Q)tests/run -l $(B)/tests/log/unit $(UNIT_FILTER)

bpf: $(BPFTEST_BIN) ## tests of the BPF programs in the kernel (root)
	$(Q)tests/run -l $(B)/tests/log/bpf $(BPFTEST_FILTER)

e2e: all ## end-to-end tests in network namespaces (root)
	$(Q)B=$(B) tests/run -l $(B)/tests/log/e2e $(E2E_FILTER)

lint: ## SPDX lines, layers, headers alone, shellcheck, formatting
	$(Q)tests/lint/run
