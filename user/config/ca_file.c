/* SPDX-License-Identifier: BSD-2-Clause */
/* tailnet.ca_file (ca_file.h). */
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ca_file.h"
#include "user/base/file.h"

/* How many; negative: GnuTLS's error. */
static int count_certificates(const char *pem, size_t len)
{
	const gnutls_datum_t data = {(unsigned char *)pem, (unsigned)len};
	gnutls_x509_crt_t *list;
	unsigned n = 0;
	int rc = gnutls_x509_crt_list_import2(&list, &n, &data, GNUTLS_X509_FMT_PEM, 0);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return (int)n;
}

char *ca_file_read(const char *path, char *error, size_t size)
{
	const char *why = NULL;
	char *text = NULL;
	struct stat st;
	size_t len;
	int n;

	if (stat(path, &st))
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a regular file";
	else if (!(text = file_read(path, CA_FILE_MAX, &len)))
		why = strerror(errno);
	else if ((n = count_certificates(text, len)) <= 0)
		why = n && n != GNUTLS_E_NO_CERTIFICATE_FOUND ? gnutls_strerror(n) : "has no certificate in it (PEM)";
	if (!why)
		return text;
	snprintf(error, size, "%s: %s", path, why);
	free(text);
	return NULL;
}
