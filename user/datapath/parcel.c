/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that wait for another thread (parcel.h). */
#include "parcel.h"

#include <stdlib.h>
#include <string.h>

bool parcels_add(struct parcels *q, const struct endpoint *at, const void *bytes, size_t len, unsigned max)
{
	struct parcel *p = q->n < max ? malloc(sizeof(*p) + len) : NULL;

	if (!p)
		return false;
	p->next = NULL;
	p->at = *at;
	p->len = len;
	memcpy(p->bytes, bytes, len);
	if (q->last)
		q->last->next = p;
	else
		q->first = p;
	q->last = p;
	q->n++;
	return true;
}

struct parcel *parcels_take(struct parcels *q)
{
	struct parcel *p = q->first;

	if (!p)
		return NULL;
	q->first = p->next;
	q->n--;
	if (!q->first)
		q->last = NULL;
	return p;
}

void parcels_clear(struct parcels *q)
{
	struct parcel *p;

	while ((p = parcels_take(q)))
		free(p);
}
