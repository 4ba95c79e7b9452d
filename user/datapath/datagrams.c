/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that wait for another thread (datagrams.h). */
#include "datagrams.h"

#include <stdlib.h>
#include <string.h>

bool datagrams_add(struct datagrams *q, const struct endpoint *at, const void *bytes, size_t len, unsigned max)
{
	struct datagram *p = q->n < max ? malloc(sizeof(*p) + len) : NULL;

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

struct datagram *datagrams_take(struct datagrams *q)
{
	struct datagram *p = q->first;

	if (!p)
		return NULL;
	q->first = p->next;
	q->n--;
	if (!q->first)
		q->last = NULL;
	return p;
}

void datagrams_clear(struct datagrams *q)
{
	struct datagram *p;

	while ((p = datagrams_take(q)))
		free(p);
}
