# SPDX-License-Identifier: BSD-2-Clause
#
# make            build/sluice
# make demo       install what is missing, build, show the main job (root)
# make check      every test (root); check-unit needs neither root nor network
# V=1 shows the commands; AEAD=sodium builds without BoringSSL; SAN=1 adds ASan and UBSan.
.DELETE_ON_ERROR:
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

# One output folder; a variant of the build (sanitizers, another AEAD, another machine) has a folder in it.
variant := $(if $(filter sodium,$(AEAD)),-sodium)$(if $(filter 1,$(SAN)),-san)$(if $(CROSS),-$(CROSS:-=))
O := build$(if $(variant),/variant$(variant))

PKGS := libbpf libsodium yaml-0.1 jansson libmnl libcap-ng libseccomp libqrencode libb2
PKG_CONFIG := $(CROSS)pkg-config
CFLAGS_PKG := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo $(addprefix -l,bpf sodium yaml jansson mnl cap-ng seccomp qrencode b2)) -lelf -lz -lpthread
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
ifeq ($(AEAD),boringssl)
CFLAGS_AEAD := -isystem /usr/include/android
LIBS += -L/usr/lib/$(MULTIARCH)/android -Wl,-rpath,/usr/lib/$(MULTIARCH)/android -lcrypto
endif

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
OPT ?= -O2
CFLAGS := -std=gnu17 $(OPT) -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -fno-strict-aliasing -fstack-protector-strong -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 \
	-I. -I$(O)/bpf $(CFLAGS_PKG) $(CFLAGS_AEAD)
LDFLAGS := -Wl,-z,relro,-z,now
ifeq ($(SAN),1)
CFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CFLAGS)) -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif

BPF_ARCH := $(if $(filter aarch64%,$(MULTIARCH)),arm64,x86)
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D__TARGET_ARCH_$(BPF_ARCH) -I. -Ibpf

policy_src := $(wildcard policy/*.c)
user_src := $(filter-out user/main.c user/aead_%.c,$(wildcard user/*.c user/tailnet/*.c)) user/aead_$(AEAD).c
user_src := $(wildcard $(user_src))
lib_obj := $(patsubst %.c,$(O)/%.o,$(policy_src) $(user_src))
bpf_obj := $(patsubst bpf/%.bpf.c,$(O)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
skeletons := $(bpf_obj:.bpf.o=.skel.h)
unit := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))
bpf_tests := $(patsubst %.c,$(O)/%,$(wildcard tests/bpf/test_*.c))
fuzzers := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all deps demo check check-unit check-bpf check-lab check-kernels bench fuzz style install clean vmlinux.h
all: $(O)/sluice

$(O)/sluice: $(O)/user/main.o $(O)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/libsluice.a: $(lib_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CROSS)ar rcs $@ $^

$(O)/%.o: %.c | $(skeletons)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/user/version.o: CFLAGS += -DSLUICE_VERSION='"$(VERSION)"' -DSLUICE_AEAD='"$(AEAD)"'

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<

$(O)/bpf/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@

$(O)/tests/%: tests/%.c $(O)/libsluice.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -Itests -MMD -MP $(LDFLAGS) -o $@ $< $(O)/libsluice.a -lcmocka $(LIBS)

build/fuzz/%: tests/fuzz/%.c $(lib_obj)
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(filter-out -fstack-protector-strong -D_FORTIFY_SOURCE=2,$(CFLAGS)) -O1 -fsanitize=fuzzer,address,undefined \
		-MMD -MP -o $@ $< $(policy_src) $(user_src) $(LDFLAGS) $(LIBS)

-include $(shell find build -name '*.d' 2>/dev/null)
