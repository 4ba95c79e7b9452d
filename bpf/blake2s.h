/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_BLAKE2S_H
#define SLUICE_BLAKE2S_H

/*
 * BLAKE2s (RFC 7693), for programs of the kernel, which have no other: a stranger's
 * message is checked in front of everything that it would cost (gate.h). User space has
 * libb2's, and tests/unit/test_blake2s.c holds this one against it.
 *
 * A keyed hash begins with a block that holds nothing but the key: its state is made
 * once, by who knows the key, and begins each hash from then on.
 */
#ifdef __bpf__
#include "maps.h"
#define BLAKE2S_FUNCTION CHECKED_ALONE
#else
#include "contract.h"
#define BLAKE2S_FUNCTION static inline
#endif

#define BLAKE2S_BLOCK 64

/* Words are read where they are used: many at once would need more of the 512 bytes of stack that there are. */
#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif

#define BLAKE2S_ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define BLAKE2S_MIX(a, b, c, d, x, y)                   \
	do {                                            \
		v[a] += v[b] + blake2s_word(p, x);      \
		v[d] = BLAKE2S_ROTATE(v[d] ^ v[a], 16); \
		v[c] += v[d];                           \
		v[b] = BLAKE2S_ROTATE(v[b] ^ v[c], 12); \
		v[a] += v[b] + blake2s_word(p, y);      \
		v[d] = BLAKE2S_ROTATE(v[d] ^ v[a], 8);  \
		v[c] += v[d];                           \
		v[b] = BLAKE2S_ROTATE(v[b] ^ v[c], 7);  \
		barrier();                              \
	} while (0)

/* One round, by its row of the permutation (RFC 7693, section 2.7). */
#define BLAKE2S_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) \
	do {                                                                                \
		BLAKE2S_MIX(0, 4, 8, 12, s0, s1);                                           \
		BLAKE2S_MIX(1, 5, 9, 13, s2, s3);                                           \
		BLAKE2S_MIX(2, 6, 10, 14, s4, s5);                                          \
		BLAKE2S_MIX(3, 7, 11, 15, s6, s7);                                          \
		BLAKE2S_MIX(0, 5, 10, 15, s8, s9);                                          \
		BLAKE2S_MIX(1, 6, 11, 12, s10, s11);                                        \
		BLAKE2S_MIX(2, 7, 8, 13, s12, s13);                                         \
		BLAKE2S_MIX(3, 4, 9, 14, s14, s15);                                         \
	} while (0)

struct blake2s_block {
	__u8 b[BLAKE2S_BLOCK];
} __attribute__((aligned(8)));

static __always_inline __u32 blake2s_word(const struct blake2s_block *b, int i)
{
	__u32 word = *(const __u32 *)(b->b + 4 * i);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap32(word);
#endif
	return word;
}

/* SHA-256's initial values; the parameters are a key of @key bytes, a digest of @digest (RFC 7693, section 2.8). */
static __always_inline void blake2s_begin(struct blake2s *s, __u32 key, __u32 digest)
{
	*s = (struct blake2s){{0x6a09e667 ^ 0x01010000 ^ key << 8 ^ digest, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

/* Takes in a block, zeros behind its end; @bytes: how many were taken in then, keys included. */
BLAKE2S_FUNCTION int blake2s_compress(struct blake2s *s, const struct blake2s_block *p, __u32 bytes, __u32 last)
{
	__u32 v[16];

	if (!s || !p)
		return 0;
	for (int i = 0; i < 8; i++)
		v[i] = s->h[i];
	v[8] = 0x6a09e667;
	v[9] = 0xbb67ae85;
	v[10] = 0x3c6ef372;
	v[11] = 0xa54ff53a;
	v[12] = 0x510e527f ^ bytes;
	v[13] = 0x9b05688c;
	v[14] = last ? ~0x1f83d9abu : 0x1f83d9ab;
	v[15] = 0x5be0cd19;
	BLAKE2S_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	BLAKE2S_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	BLAKE2S_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
	BLAKE2S_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
	BLAKE2S_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
	BLAKE2S_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
	BLAKE2S_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
	BLAKE2S_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
	BLAKE2S_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
	BLAKE2S_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
	for (int i = 0; i < 8; i++)
		s->h[i] ^= v[i] ^ v[i + 8];
	return 1;
}

#endif
