# SPDX-License-Identifier: BSD-2-Clause
#
# make            build/sluice
# make demo       install what is missing, build, show the main job (root)
# make check      what CI runs (root): under 30 minutes on 2 cores; check-unit needs neither root nor network
# make check-long what takes hours: the lab's tests that are marked long, all of the sweep, the differential, the soak,
#                 the flake rate. check says how many tests it leaves to check-long.
# V=1 shows the commands; AEAD=sodium builds without BoringSSL; SAN=1 adds ASan and UBSan.
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $(2))

AEAD ?= boringssl
SAN ?= 0
CROSS ?=
CC := $(CROSS)gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

# One output folder; a variant of the build (sanitizers, another AEAD, machine or clang) has a folder in it.
variant := $(if $(filter sodium,$(AEAD)),-sodium)$(if $(filter 1,$(SAN)),-san)$(if $(CROSS),-$(CROSS:-=))
variant := $(variant)$(if $(filter-out clang,$(CLANG)),-$(notdir $(CLANG)))
O := build$(if $(variant),/variant$(variant))

PKGS := libbpf libsodium yaml-0.1 jansson libmnl libcap-ng libseccomp libqrencode libb2 libnghttp2 gnutls libmicrohttpd
PKG_CONFIG := $(if $(CROSS),PKG_CONFIG_LIBDIR=/usr/lib/$(CROSS:-=)/pkgconfig:/usr/share/pkgconfig) pkg-config
CFLAGS_PKG := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo $(addprefix -l,bpf sodium yaml jansson mnl cap-ng seccomp qrencode b2 nghttp2 gnutls microhttpd)) -l:libhttp_parser.so.2.9 -lelf -lz -lpthread
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
ifeq ($(AEAD),boringssl)
CFLAGS_AEAD := -isystem /usr/include/android
LIBS += -L/usr/lib/$(MULTIARCH)/android -Wl,-rpath,/usr/lib/$(MULTIARCH)/android -l:libcrypto.so.0
endif

VERSION := $(shell git describe --always --dirty 2>/dev/null || cat $(O)/version 2>/dev/null || echo unknown)
OPT ?= -O2
# What makes a mistake harder to use; tests/unit/test_hardening.c looks for each in the binary.
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 \
	$(if $(filter aarch64%,$(MULTIARCH)),-mbranch-protection=standard,-fcf-protection)
CFLAGS := -std=gnu17 $(OPT) -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -fno-strict-aliasing -D_GNU_SOURCE $(HARDEN) \
	-I. -I$(O)/bpf $(CFLAGS_PKG) $(CFLAGS_AEAD)
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifeq ($(SAN),1)
CFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CFLAGS)) -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif

BPF_ARCH := $(if $(filter aarch64%,$(MULTIARCH)),arm64,x86)
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D__TARGET_ARCH_$(BPF_ARCH) -I. -Ibpf

policy_src := $(wildcard policy/*.c)
user_src := $(filter-out user/main.c user/wireguard/aead_%.c,$(wildcard user/*/*.c user/tailnet/*/*.c)) user/wireguard/aead_$(AEAD).c
user_src := $(wildcard $(user_src))
lib_obj := $(patsubst %.c,$(O)/%.o,$(policy_src) $(user_src))
bpf_obj := $(patsubst bpf/%.bpf.c,$(O)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
skeletons := $(bpf_obj:.bpf.o=.skel.h)
unit := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c tests/unit/*/test_*.c tests/unit/tailnet/*/test_*.c))
bpf_tests := $(patsubst %.c,$(O)/%,$(wildcard tests/bpf/test_*.c))
fuzzers := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all deps deps-check demo check check-unit check-bpf check-lab check-kernels check-san check-arm64 check-clangs check-release check-fuzz check-long \
	check-conformance flake-rate bench bench-scale bench-tailnet differential fuzz soak style install clean vmlinux
all: $(O)/sluice compile_commands.json

$(O)/sluice: $(O)/user/main.o $(O)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/libsluice.a: $(lib_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CROSS)ar rcs $@ $^

$(O)/%.o: %.c $(O)/flags | $(skeletons)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# Other flags make other objects; := for the target's own are not to be in it.
flags := $(CFLAGS)
$(O)/flags: FORCE
	@mkdir -p $(@D) && echo '$(subst ','\'',$(flags))' | cmp -s - $@ || echo '$(subst ','\'',$(flags))' > $@

# Its one loop becomes vectors.
$(O)/user/datapath/csum.o: CFLAGS += -O3

# The commit is in one object, made again only when it has changed.
$(O)/user/base/version.o: CFLAGS += -DSLUICE_VERSION='"$(VERSION)"'
$(O)/user/base/version.o: $(O)/version
$(O)/version: FORCE
	@mkdir -p $(@D) && echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
.PHONY: FORCE

$(O)/%.bpf.o: %.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$(*F))_bpf > $@

$(O)/tests/%: tests/%.c $(O)/libsluice.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -Itests -I$(O) -MMD -MP $(LDFLAGS) -o $@ $< $(O)/libsluice.a -lcmocka $(LIBS) -lm

$(O)/tests/bpf/test_swap: $(O)/tests/bpf/swap.skel.h
$(O)/tests/unit/test_hardening: $(O)/sluice
# Here a test is the kernel's side itself: its own functions come before the library's of the same name.
$(O)/tests/unit/gateway/%: LDFLAGS += -Wl,--allow-multiple-definition

# Fuzzers: the sources once with clang's coverage, then each harness with libFuzzer.
fuzz_cflags = $(filter-out -fstack-protector-strong -D_FORTIFY_SOURCE=2,$(CFLAGS)) -Wno-gnu-variable-sized-type-not-at-end -O1 -fsanitize=address,undefined
build/fuzz/obj/%.o: %.c | $(skeletons)
	$(call say,CC,"$< (fuzz)")
	$(Q)mkdir -p $(@D) && $(CLANG) $(fuzz_cflags) -fsanitize=fuzzer-no-link -DSLUICE_VERSION='"fuzz"' -MMD -MP -c -o $@ $<

build/fuzz/%: tests/fuzz/%.c $(patsubst %.c,build/fuzz/obj/%.o,$(policy_src) $(user_src))
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(fuzz_cflags) -fsanitize=fuzzer -o $@ $^ $(LIBS)

compile_commands.json: Makefile $(policy_src) $(user_src)
	$(Q)for f in $(policy_src) $(user_src) user/main.c; do printf '%s{"directory":"$(CURDIR)","file":"%s","command":"$(CC) %s -c %s"}' \
		"$$sep" $$f '$(subst ",\",$(CFLAGS))' $$f; sep=,$$'\n'; done | sed '1s/^/[/; $$s/$$/]/' > $@

# ---- what others need ---------------------------------------------------------

deps:
	$(Q)tests/deps.sh
deps-check:
	$(Q)tests/deps.sh --check

# Another name than the file's: the programs depend on that, and are not to be made anew each time.
vmlinux:
	$(Q)bpf/vmlinux.sh > $(O)/vmlinux.h && mv $(O)/vmlinux.h vmlinux.h

PREFIX ?= /usr/local
install: all
	install -D -m 755 $(O)/sluice $(DESTDIR)$(PREFIX)/sbin/sluice
	install -D -m 644 user/system/sluice.8 $(DESTDIR)$(PREFIX)/share/man/man8/sluice.8
	for unit in sluice sluice-metrics; do sed 's|/usr/sbin/|$(PREFIX)/sbin/|' user/system/$$unit.service | \
		install -D -m 644 /dev/stdin $(DESTDIR)/lib/systemd/system/$$unit.service; done
	install -D -m 644 user/system/sluice.sysusers $(DESTDIR)/usr/lib/sysusers.d/sluice.conf
	$(O)/sluice completion | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sluice
	[ -e $(DESTDIR)/etc/sluice/gateway.yaml ] || install -D -m 600 gateway.yaml $(DESTDIR)/etc/sluice/gateway.yaml
	# the group of people who may look, and the network process's user: now, where this is the machine that runs it
	[ -n "$(DESTDIR)" ] || ! command -v systemd-sysusers > /dev/null || systemd-sysusers sluice.conf
	[ -e $(DESTDIR)/etc/sluice/policy/example.yaml ] || install -D -m 644 policy/example.yaml $(DESTDIR)/etc/sluice/policy/example.yaml

clean:
	$(Q)rm -rf build compile_commands.json

style:
	$(Q)tests/style.sh

# ---- tests: tests/check.py runs suites, adds up what they count, names what failed

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo.sh

check: deps-check
	$(Q)$(MAKE) --no-print-directory check-all
.PHONY: check-all
check-all: all check-build
	$(Q)tests/check.py --beside kernels --beside peers style unit conformance arm64 sodium fuzz san bpf lab san-lab

.PHONY: check-build
check-build: $(unit) $(bpf_tests) $(fuzzers) $(O)/tests/conformance $(O)/tests/tailnet_probe

check-unit: $(unit)
	$(Q)tests/check.py unit
check-bpf: all $(bpf_tests)
	$(Q)tests/check.py bpf
check-lab: all $(O)/tests/tailnet_probe
	$(Q)tests/check.py lab
check-kernels: all $(bpf_tests)
	$(Q)tests/check.py kernels
check-clangs:
	$(Q)tests/check.py clangs
# In a chroot of the other Debian release: what its compilers make of this working tree.
check-release:
	$(Q)tests/check.py other-release
check-san:
	$(Q)tests/check.py san san-lab
check-arm64:
	$(Q)tests/check.py arm64
check-fuzz: $(fuzzers)
	$(Q)tests/check.py fuzz
check-conformance: $(O)/tests/conformance
	$(Q)tests/check.py conformance

# As long as wanted: make fuzz SECONDS=3600
SECONDS ?= 600
fuzz: $(fuzzers)
	$(Q)tests/check.py --fuzz-seconds $(SECONDS) fuzz

# Random policies: rules, tables and programs must agree about every one of so many packets.
PACKETS ?= 10000000
differential: $(O)/tests/bpf/test_differential
	$(Q)PACKETS=$(PACKETS) $<

# What takes too long for check: the lab's tests that are marked long, each system call of a gateway's life fails once,
# ten million random packets, half an hour of churn, and how often a test fails for no fault. check was run before.
check-long: all $(O)/tests/bpf/test_differential $(O)/tests/tailnet_probe
	$(Q)tests/check.py lab-long clangs other-release
	$(Q)$(MAKE) --no-print-directory differential soak flake-rate

# Each test of the lab 10 times at three times its normal load: at most 3 failures in all of them. To look at some:
# make flake-rate SELECT=tests/lab/test_life.py TIMES=5
flake-rate: all $(O)/tests/tailnet_probe
	$(Q)TIMES=$(or $(TIMES),10) tests/check.py $(addprefix --select=,$(SELECT)) flake-rate

# Mixed churn while everything happens to the gateway; check has a short form.
soak: all
	$(Q)tests/lab/peers.sh > $(O)/peers.log
	$(Q)SOAK_SECONDS=$(or $(SOAK_SECONDS),1800) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/lab/test_soak.py

bench: all bench-scale bench-tailnet
	$(Q)tests/bench/bench.py

bench-tailnet: all
	$(Q)tests/lab/tailnet_peers.sh > $(O)/peers.log
	$(Q)tests/bench/tailnet.py

# How size is felt: large policies and block lists, a million flows.
scale := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/scale_*.c))
bench-scale: all $(scale)
	$(Q)for bench in $^; do $$bench $(O)/$${bench##*/}.json || exit 1; done
	$(Q)tests/bench/scale_gateway.py

# For check.py: the test programs of this variant of the build.
.PHONY: unit-programs bpf-programs
unit-programs: $(unit)
bpf-programs: $(bpf_tests)

-include $(shell find $(O) build/fuzz -name '*.d' 2>/dev/null)
