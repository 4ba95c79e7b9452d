// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The programs. What each does stands in the header of its stage.
 *
 *   underlay NIC --front--> stack --steer_udp, front_socket--> worker
 *   worker --TAP--> tap_in --(neighbour)--> nic_out --> egress NIC
 *   egress NIC --> nic_in --(TAP, steer_tap, fence_tap)--> worker
 *   any other NIC --> nic_fence --> stack
 */
#include "admit.h"
#include "front.h"
#include "guard.h"
#include "import.h"
#include "in.h"
#include "out.h"
#include "steer.h"
#include "sweep.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int tap_in(struct __sk_buff *skb)
{
	return outbound(skb);
}

SEC("tc")
int nic_in(struct __sk_buff *skb)
{
	return inbound(skb);
}

SEC("tc")
int nic_fence(struct __sk_buff *skb)
{
	return is_for_another(skb) ? TC_ACT_UNSPEC : guard_in(skb);
}

SEC("tc")
int nic_out(struct __sk_buff *skb)
{
	return guard(skb);
}

SEC("xdp.frags")
int front(struct xdp_md *ctx)
{
	return front_check(ctx) ? XDP_DROP : XDP_PASS;
}

/* In generic mode: behind a program that takes fragments Linux 6.18 runs no tcx program any more. */
SEC("xdp")
int front_generic(struct xdp_md *ctx)
{
	return front_check(ctx) ? XDP_DROP : XDP_PASS;
}

SEC("socket")
int front_socket_judge(struct __sk_buff *skb)
{
	return front_socket_check(skb);
}

/*
 * The kernel charges a socket for the length of its filter, at most net.core.optmem_max: 20 KiB before
 * Linux 6.7, which what judges initiations exceeds. So the filter is just the way to it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, int(void *));
} front_socket_work SEC(".maps") = {
	.values = {[0] = (void *)&front_socket_judge},
};

SEC("socket")
int front_socket(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &front_socket_work, 0);
	return skb->len;
}

SEC("sk_reuseport")
int steer_udp(struct sk_reuseport_md *ctx)
{
	return steer_message(ctx);
}

SEC("socket")
int steer_tap(struct __sk_buff *skb)
{
	return steer_frame(skb);
}

SEC("socket")
int fence_tap(struct __sk_buff *skb)
{
	return fence_frame(skb);
}

/* Instead of fence_tap, on a device without a gateway. */
SEC("socket")
int loop_tap(struct __sk_buff *skb)
{
	return loop_frame(skb);
}

/* Run once, by BPF_PROG_TEST_RUN. */
SEC("tc")
int sweep_start(struct __sk_buff *skb)
{
	return sweep_begin();
}

/* What is in `import_work`, by BPF_PROG_TEST_RUN. Not a SYSCALL program: before Linux 6.4 those may not use a queue. */
SEC("tc")
int flow_import(struct __sk_buff *skb)
{
	import_all();
	return 0;
}

/* One whole round now, for tests and for `down`: the same, by hand. */
SEC("tc")
int sweep_once(struct __sk_buff *skb)
{
	struct sweep_state *s = element(&sweep, 0);

	if (s)
		sweep_some(s);
	return 0;
}
