# SPDX-License-Identifier: Apache-2.0
# The whole build. Out of tree: everything goes to build/ (B=...). V=1 shows commands, SAN=1 builds with
# AddressSanitizer and UndefinedBehaviorSanitizer (use another B then). `make help` lists the goals.

B ?= build
V ?= 0
SAN ?= 0
T ?=
DESTDIR ?=
PREFIX ?= /usr
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

VERSION := 0.1.0
GIT_COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-8s%s\n' '$(1)' '$(2)';)

.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# ---- tools and flags ---------------------------------------------------------------------------------
CPPFLAGS += -I. -Iinclude -I$(B) -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu17 -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla -Wno-unused-parameter -Wno-missing-field-initializers \
	  -fno-strict-aliasing -fstack-protector-strong -fno-common
CPPFLAGS += $(if $(filter 1,$(SAN)),,-D_FORTIFY_SOURCE=2)
, := ,
SANFLAGS := $(if $(filter 1,$(SAN)),-fsanitize=address$(,)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
CFLAGS += $(SANFLAGS)
LDFLAGS += $(SANFLAGS) -Wl,-z,relro,-z,now
NL_CFLAGS := -I/usr/include/libnl3
BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_INCLUDES := -I/usr/include/$(shell uname -m)-linux-gnu
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Wno-unused-parameter -Wno-unused-function \
	      -Iinclude -I. -D__TARGET_ARCH_$(BPF_ARCH) $(BPF_INCLUDES)

# ---- rooms: one static archive each, in the order in which they may use each other -----------------------
ROOMS := base conflist object kube source store report policy sim review bpf endpoint flow suggest sink recorder metrics control daemon cli
LIB_base := -ljson-c -lpthread
LIB_conflist := -ljson-c
LIB_object := -ljson-c
LIB_kube := $(shell pkg-config --libs libcurl libssl libcrypto) -ljson-c -levent
LIB_source := -lyaml -levent
LIB_bpf := -lbpf -lelf -lz -lnl-route-3 -lnl-3 -lmnl
LIB_endpoint := -lnl-route-3 -lnl-3
LIB_control := -levent
LIB_report := -ljson-c -levent
LIB_flow := -levent
LIB_sink := $(shell pkg-config --libs libevent libssl libcrypto libcurl zlib)
LIB_recorder := -ljson-c -levent -lmnl
LIB_metrics := $(shell pkg-config --libs libevent_openssl libssl libcrypto)

room_src = $(sort $(foreach room,$(1),$(wildcard agent/$(room)/*.c)))
room_obj = $(patsubst %.c,$(B)/%.o,$(call room_src,$(1)))
archives = $(foreach r,$(1),$(if $(call room_src,$(r)),$(B)/lib/$(r).a))
link = -Wl,--start-group $(call archives,$(1)) -Wl,--end-group \
	$(foreach r,$(1),$(LIB_$(r)))

PURE_ROOMS := base object store policy
CLI_ROOMS := base conflist object source store policy sim review flow suggest control cli
AGENT_ROOMS := base conflist object kube source store report policy bpf endpoint flow sink recorder metrics control daemon

BPF_SRC := $(sort $(wildcard datapath/*.bpf.c))
BPF_OBJ := $(BPF_SRC:datapath/%.bpf.c=$(B)/bpf/%.bpf.o)
SKEL := $(BPF_SRC:datapath/%.bpf.c=$(B)/bpf/%.skel.h)
TEST_BPF_SRC := $(sort $(wildcard tests/bpf/*.bpf.c tests/bench/*.bpf.c tests/harness/*.bpf.c))
TEST_BPF_OBJ := $(TEST_BPF_SRC:%.bpf.c=$(B)/%.bpf.o)
TEST_SKEL := $(TEST_BPF_SRC:%.bpf.c=$(B)/%.skel.h)

PROGRAMS := $(B)/bulkheadd $(B)/bulkhead
CNI := $(B)/bulkhead-cni
CNI_SRC := $(sort $(wildcard cni/*.c))

include mk/tests.mk
include mk/image.mk
-include mk/docs.mk

.PHONY: all
all: $(PROGRAMS) $(CNI) $(BPF_OBJ) ## build the daemon, the command line, the CNI plugin and the BPF objects

# ---- rules ----------------------------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(NL_CFLAGS) -MMD -MP -c -o $@ $<

define room_rule
$(B)/lib/$(1).a: $(call room_obj,$(1))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)rm -f $$@ && $$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# Rooms that load BPF objects need their skeletons first.
$(call room_obj,bpf) $(B)/agent/main.o: | $(SKEL)

$(B)/bpf/%.bpf.o: datapath/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@ $<

$(B)/tests/%.bpf.o: tests/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $(subst -,_,$(notdir $*))_bpf > $@

# The commit changes often and only `version` prints it: one small file of its own.
$(B)/commit.h: FORCE
	@mkdir -p $(@D)
	@printf '#define COMMIT "%s"\n' '$(GIT_COMMIT)' | cmp -s - $@ || printf '#define COMMIT "%s"\n' '$(GIT_COMMIT)' > $@
FORCE:

$(call room_obj,cli daemon) $(B)/agent/main.o: | $(B)/commit.h

$(B)/bulkheadd: $(B)/agent/main.o $(call archives,$(AGENT_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call link,$(AGENT_ROOMS))

$(B)/bulkhead: $(call archives,$(CLI_ROOMS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ -Wl,--whole-archive $(B)/lib/cli.a -Wl,--no-whole-archive $(call link,$(filter-out cli,$(CLI_ROOMS)))

# The plugin runs on hosts that nobody knows: no shared library, but that the sanitizers are ones. Its archive is for
# tests. Of `control` it takes the client alone, of `bpf` what needs no library.
$(B)/lib/cni.a: $(filter-out %/main.o,$(CNI_SRC:%.c=$(B)/%.o)) $(B)/agent/bpf/sys.o $(B)/agent/bpf/ours.o
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(CNI): $(B)/cni/main.o $(B)/lib/cni.a $(call archives,control base)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(SANFLAGS),,-static) -o $@ $^ -ljson-c

# ---- packages, install, clean --------------------------------------------------------------------------
.PHONY: deps install clean help
deps: ## install the Debian packages that are missing (needs root)
	@sh mk/deps.sh

SYSCONFDIR ?= /etc
CNI_BIN ?= /opt/cni/bin

install: all man completion $(B)/bulkheadd.service ## install under DESTDIR and PREFIX
	install -D -m 0755 $(B)/bulkheadd $(DESTDIR)$(PREFIX)/sbin/bulkheadd
	install -D -m 0755 $(B)/bulkhead $(DESTDIR)$(PREFIX)/bin/bulkhead
	install -D -s -m 0755 $(CNI) $(DESTDIR)$(CNI_BIN)/bulkhead-cni
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 $(B)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 0644 $(B)/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -D -m 0644 $(B)/completion/bulkhead.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/bulkhead
	install -D -m 0644 docs/flow.schema.json $(DESTDIR)$(PREFIX)/share/bulkhead/flow.schema.json
	install -D -m 0644 $(B)/completion/bulkheadd.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/bulkheadd
	install -D -m 0644 $(B)/bulkheadd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/bulkheadd.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/bulkhead/bulkheadd.conf ] || \
		install -D -m 0600 deploy/systemd/bulkheadd.conf $(DESTDIR)$(SYSCONFDIR)/bulkhead/bulkheadd.conf

$(B)/bulkheadd.service: deploy/systemd/bulkheadd.service FORCE
	@mkdir -p $(@D)
	$(call say,SED,$@)sed 's|@PREFIX@|$(PREFIX)|; s|/etc/bulkhead|$(SYSCONFDIR)/bulkhead|' $< > $@

clean: ## remove build/
	rm -rf $(B)

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile mk/*.mk
	@printf '\n  Variables: V=1 commands, B=DIR build folder, T=NAME one test, SAN=1 sanitizers, FUZZ_SECONDS=N, FUZZ_SEED=N, PREFIX, DESTDIR\n'

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
