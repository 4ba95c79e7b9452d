/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of the policy commands (policy_files.h). */
#include "policy_files.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/config/config_value.h"

bool policy_files_open(struct policy_files *f, const struct command_args *a, bool needed)
{
	const char *config = command_option(a, "config"), *inventory = command_option(a, "inventory");

	*f = (struct policy_files){0};
	if (config && inventory) {
		diag_error(&f->d, (struct diag_at){0},
			   "--config and --inventory both say who is who: give one of them");
		return false;
	}
	if (!config && !inventory && !access(CONFIG_FILE, F_OK))
		config = CONFIG_FILE;
	if (inventory)
		f->inventory = config_read_doc(inventory, &f->d);
	else if (config)
		f->config = config_load(config, &f->d);
	else if (needed)
		diag_error(&f->d, (struct diag_at){0},
			   "who is who is not known: give -c gateway.yaml or --inventory FILE");
	f->place = (struct ruleset_place){.config = f->config, .inventory = f->inventory};
	return !f->d.errors;
}

void policy_files_close(struct policy_files *f)
{
	config_free(f->config);
	doc_free(f->inventory);
	diags_free(&f->d);
}

static size_t spaces(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && isspace((unsigned char)text[i]))
		i++;
	return i;
}

/* Standard input has no name to tell the format by: a comment or a quoted key does. */
static bool is_hujson(const char *text, size_t len)
{
	size_t i = spaces(text, len);

	if (i < len && text[i] == '{')
		i += 1 + spaces(text + i + 1, len - i - 1);
	return i < len && (text[i] == '/' || text[i] == '"');
}

/* Of a file that the user named, which may be a pipe: <(...). NULL with errno. */
static char *policy_files_read_text(FILE *in, size_t *len)
{
	char *text = mem_alloc(DOC_MAX_SIZE + 1, 1);

	*len = fread(text, 1, DOC_MAX_SIZE + 1, in);
	if (*len <= DOC_MAX_SIZE && !ferror(in))
		return text;
	errno = ferror(in) ? errno : EFBIG;
	free(text);
	return NULL;
}

char *policy_files_text(const char *file, char **name, size_t *len, struct diags *d)
{
	bool input = !strcmp(file, "-");
	/* opening /dev/stdin would ask for rights anew, and cannot open a socket at all */
	FILE *in = input ? stdin : fopen(file, "re");
	char *text = in ? policy_files_read_text(in, len) : NULL;
	int err = errno;

	if (in && !input)
		fclose(in);
	errno = err;
	*name = NULL;
	if (!text)
		diag_error(d, (struct diag_at){.file = input ? RULESET_STDIN : file}, "the policy cannot be read: %s",
			   errno == EFBIG ? "it is larger than 16 MiB" : strerror(errno));
	else
		*name = mem_strdup(!input ? file : is_hujson(text, *len) ? RULESET_STDIN_HUJSON : RULESET_STDIN);
	return text;
}

struct ruleset *policy_files_build(struct policy_files *f, const char *file)
{
	char *name, *folder = strcmp(file, "-") ? config_folder(file) : NULL;
	struct ruleset *r = NULL;
	struct ruleset_source source = {.folder = folder, .now = time(NULL)};
	char *text = policy_files_text(file, &name, &source.len, &f->d);

	source.file = name;
	source.text = text;
	if (text)
		r = ruleset_build(&f->place, &source, &f->d);
	free(text);
	free(name);
	free(folder);
	return r;
}
