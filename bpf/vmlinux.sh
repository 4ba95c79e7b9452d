#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Prints vmlinux.h: of the running kernel's types the ones that bpf/ uses, with
# what they contain by value. All of them are of the kernel's stable interface
# (packet headers, contexts, flags of helpers), so no field needs relocation.
# Usage: bpf/vmlinux.sh [BTF] > vmlinux.h
set -eu
btf=${1:-/sys/kernel/btf/vmlinux}

# An anonymous enum is named by one of its constants.
wanted='__sk_buff xdp_md sk_reuseport_md bpf_sock bpf_sock_tuple bpf_timer bpf_map_type
	ethhdr iphdr ipv6hdr tcphdr udphdr icmphdr sk_action xdp_action bpf_hdr_start_off
	BPF_ANY BPF_F_INGRESS BPF_F_NO_PREALLOC BPF_F_RECOMPUTE_CSUM BPF_F_PSEUDO_HDR BPF_F_CURRENT_NETNS
	BPF_RB_NO_WAKEUP IPPROTO_TCP true
	__u8 __u16 __u32 __u64 __s8 __s16 __s32 __s64 __be16 __be32 __be64 __le16 __le32 __sum16 __wsum bool'

cat <<'EOF'
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Made by bpf/vmlinux.sh (make vmlinux) from a kernel's BTF; do not edit. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

EOF
bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
"$bpftool" btf dump file "$btf" format c | grep -v '^#' | awk -v wanted="$wanted" '
BEGIN { RS = ""; n_want = split(wanted, want, /[ \t\n]+/) }

{ # one definition a record: remember it under each name it can be asked for
	text[NR] = $0
	name = ""
	if ($0 ~ /^typedef/ && $0 !~ /[{(]/) {
		name = $0; sub(/;.*/, "", name); sub(/.*[ *]/, "", name)
	} else if (match($0, /^(struct|union|enum) [A-Za-z0-9_]+ \{/)) {
		name = $1 " " $2
	} else if ($0 ~ /^enum \{/) {
		body = $0
		while (match(body, /[A-Za-z][A-Za-z0-9_]+ =/)) {
			at[substr(body, RSTART, RLENGTH - 2)] = NR
			body = substr(body, RSTART + RLENGTH)
		}
	}
	if (name != "" && !(name in at)) at[name] = NR
}

function need(name) { if (name in at && !(name in needed)) { needed[name] = 1; queue[++n_queue] = name } }

# What stands behind a pointer need not be defined, nor what an enum is made of.
function need_parts(body,   line, word, n, m, l, w) {
	if (body ~ /^enum/) return
	n = split(body, line, "\n")
	for (l = 1; l <= n; l++) {
		if (line[l] ~ /\*/) continue
		m = split(line[l], word, /[^A-Za-z0-9_]+/)
		for (w = 1; w < m; w++) {
			need(word[w] " " word[w + 1])
			if (word[w + 1] != "" && word[w] !~ /^(struct|union|enum)$/) need(word[w])
		}
	}
}

END {
	for (i = 1; i <= n_want; i++) {
		found = n_queue
		need(want[i]); need("struct " want[i]); need("enum " want[i])
		if (n_queue == found && !(want[i] in needed)) { print "no type " want[i] > "/dev/stderr"; exit 1 }
	}
	for (i = 1; i <= n_queue; i++) {
		chosen[at[queue[i]]] = 1
		need_parts(text[at[queue[i]]])
	}
	for (r = 1; r <= NR; r++)
		if (chosen[r]) print text[r] "\n"
}'
echo '#endif'
