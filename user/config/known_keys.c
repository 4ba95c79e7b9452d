/* SPDX-License-Identifier: BSD-2-Clause */
/* Public keys whose private keys are no secret (known_keys.h). */
#include "known_keys.h"

#include <sodium.h>
#include <string.h>

#define SMALL	"a point of small order"
#define SIMPLE	"the public key of a private key that everybody can guess"
#define RFC7748 "an example of RFC 7748"
#define WG	"an example of WireGuard's documentation"
#define NOISE	"a test vector of the Noise protocol"
#define OURS	"an example that Sluice once shipped"

static const struct {
	const char *key, *origin;
} known[] = {
	{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SMALL},
	{"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SMALL},
	{"4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=", SMALL},
	{"X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=", SMALL},
	{"7P///////////////////////////////////////38=", SMALL},
	{"7f///////////////////////////////////////38=", SMALL},
	{"7v///////////////////////////////////////38=", SMALL},
	{"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SIMPLE}, /* the base point, and the same plus p */
	{"9v///////////////////////////////////////38=", SIMPLE},
	{"L+V9o0fNYkMVKNqsX7spBzD/9oSvxM/C7ZCZX1jLO3Q=", SIMPLE},  /* of 0 to 7 */
	{"hHwNLDdSNPNl5mCVUYejc1oPdhPRYJ06ak2MU66qWiI=", SIMPLE},  /* of 32 bytes ff */
	{"pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=", SIMPLE},  /* of 32 bytes 01 */
	{"zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk=", SIMPLE},  /* of 32 bytes 02 */
	{"j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=", SIMPLE},  /* of the bytes 0 to 31 */
	{"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=", SIMPLE},  /* of the bytes 1 to 32 */
	{"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", RFC7748}, /* 6.1, Alice */
	{"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=", RFC7748}, /* 6.1, Bob */
	{"HJ/Yj0VgbZMqgMcYJK4VHRXXPnfeOOjgAIUuYU+ucBk=", RFC7748}, /* 5.2, of the first scalar */
	{"/2P+V7+/Q/o/VjYosUmvcE09tiU2nEmYNlA0empx4A4=", RFC7748}, /* 5.2, of the second */
	{"QiyOemIn17yhNQs+K7cnn3iXuHu2hUt4PGDoAxGuMHk=", RFC7748}, /* 5.2, iterated once */
	{"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", WG},	   /* wg(8), the interface */
	{"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", WG},
	{"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=", WG},
	{"gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=", WG},
	{"cL9S5KV5wAy/AsKyYct3qz9BHxe5FYqxlb/eDthF/VY=", WG}, /* wg-quick(8), the interface */
	{"GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=", WG},
	{"wVMuGz01CPx+vDVPpnliDzPyhxSVQuaExnt7DYE2Kyk=", WG}, /* the cross-platform interface */
	{"uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=", WG},
	{"WEAuaVuhdyscyTCXVfBDJR6nf9zxD75jmJzrfhkyE3Y=", WG},
	{"Zi4U/VlFVvUiYEcDNANRJYkDtk81VTdj8ZQmqypRXFg=", WG},
	{"a8OCKiqn9OaYHWU4aSs83z5t+e6m7SaetB2TwidXt1o=", NOISE},
	{"MeAwP9ZBjS+MDni5HyLoyu0Pvkhlbc9HZ+SDT3Abj2I=", NOISE},
	{"e+GfXmGYxHAEf6UfJkUmE0Hv+cSb5pVRqeyF3qDAFSo=", OURS},
	{"6BKt2rDCnOoWIHaNvYCs1e3OtHbZFpCnhb0YwTuxkDM=", OURS},
};

const char *known_key(const uint8_t key[KEY_LEN])
{
	char text[KEY_LEN_BASE64 + 1];
	uint8_t point[KEY_LEN];

	memcpy(point, key, KEY_LEN);
	point[KEY_LEN - 1] &= 0x7f; /* X25519 does not look at this bit */
	key_to_base64(point, text);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(text, known[i].key))
			return known[i].origin;
	return NULL;
}

const char *known_private_key(const uint8_t key[KEY_LEN])
{
	uint8_t public[KEY_LEN];

	return crypto_scalarmult_base(public, key) ? SMALL : known_key(public);
}
