/* SPDX-License-Identifier: BSD-2-Clause */
/* The matrix as one page without scripts, fonts or images from elsewhere. */
#include "matrix.h"

static const char head[] =
	"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<style>\n"
	":root { --ink: #1d2433; --soft: #6b7487; --line: #e3e7ee; --paper: #fff; --all: #1f9d6b; --some: #e6a817;\n"
	"	--denied: #d3455b; --none: #f1f3f7; }\n"
	"@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #8d97ab; --line: #2b3242;\n"
	"	--paper: #161a23; --all: #2bb57e; --some: #d9a02a; --denied: #e0566c; --none: #222836; } }\n"
	"body { margin: 2.5rem; font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }\n"
	"h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 .25rem; }\n"
	"p { color: var(--soft); margin: 0 0 1.5rem; }\n"
	"table { border-collapse: separate; border-spacing: 4px; }\n"
	"th { font-weight: 500; text-align: left; white-space: nowrap; }\n"
	"thead th { height: 13rem; vertical-align: bottom; padding: 0; }\n"
	"thead span { display: block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 13rem; }\n"
	"thead small, tbody small { color: var(--soft); font-size: 12px; }\n"
	"tbody th { padding: 0 1rem 0 0; position: sticky; left: 0; background: var(--paper); }\n"
	"td { width: 30px; min-width: 30px; height: 30px; border-radius: 6px; background: var(--none); }\n"
	"td.all { background: var(--all); } td.some { background: repeating-linear-gradient(45deg, var(--some) 0 6px,\n"
	"	transparent 6px 9px), var(--none); }\n"
	"td.denied { background: linear-gradient(45deg, transparent 44%, var(--paper) 44% 56%, transparent 56%),\n"
	"	var(--denied); }\n"
	"td:hover { outline: 2px solid var(--ink); outline-offset: 1px; }\n"
	"tbody tr:hover th { text-decoration: underline; text-decoration-color: var(--soft); }\n"
	"ul { list-style: none; padding: 0; margin: 1.5rem 0 0; display: flex; gap: 1.75rem; color: var(--soft); }\n"
	"li::before { content: \"\"; display: inline-block; width: 14px; height: 14px; margin-right: .5rem;\n"
	"	border-radius: 4px; vertical-align: -2px; background: var(--c); }\n"
	"</style>\n";

static const char legend[] = "<ul><li style=\"--c: var(--all)\">all reach it</li>"
			     "<li style=\"--c: var(--some)\">some do</li>"
			     "<li style=\"--c: var(--denied)\">denied by a rule</li>"
			     "<li style=\"--c: var(--none)\">no rule: denied by default</li></ul>\n";

static void matrix_html_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void put_columns(const struct matrix *m, FILE *out)
{
	fputs("<thead><tr><th></th>", out);
	for (size_t c = 0; c < m->n_columns; c++) {
		fputs("<th scope=\"col\"><span>", out);
		matrix_html_escaped(m->columns[c].name, out);
		fputs(" <small>", out);
		matrix_html_escaped(m->columns[c].ports, out);
		fputs("</small></span></th>", out);
	}
	fputs("</tr></thead>\n", out);
}

/* Hovering over a cell tells who, what, and the rule with its place. */
static void put_cell(const struct matrix *m, size_t r, size_t c, FILE *out)
{
	static const struct {
		const char *class, *verb;
	} kinds[] = {
		[MATRIX_NONE] = {"none", "does not reach"},
		[MATRIX_SOME] = {"some", "reaches in part"},
		[MATRIX_ALL] = {"all", "reaches"},
		[MATRIX_DENIED] = {"denied", "is denied"},
		[MATRIX_UNKNOWN] = {"none", "is too much to work out for"},
	};
	const struct matrix_entry *e = &m->cells[r * m->n_columns + c];

	fprintf(out, "<td class=\"%s\" title=\"", kinds[e->cell].class);
	matrix_html_escaped(m->rows[r].name, out);
	fprintf(out, " %s ", kinds[e->cell].verb);
	matrix_html_escaped(m->columns[c].name, out);
	fputc(' ', out);
	matrix_html_escaped(m->columns[c].ports, out);
	fputs("&#10;", out);
	if (e->rule) {
		fprintf(out, "rule %u", e->rule->id);
		if (e->rule->file) {
			fputs(" (", out);
			matrix_html_escaped(e->rule->file, out);
			fprintf(out, ":%u)", e->rule->line);
		}
		fputs(": ", out);
		matrix_html_escaped(e->rule->text ? e->rule->text : "", out);
	} else {
		fputs("no rule", out);
	}
	fputs("\"></td>", out);
}

static void put_row(const struct matrix *m, size_t r, FILE *out)
{
	fputs("<tr><th scope=\"row\">", out);
	matrix_html_escaped(m->rows[r].name, out);
	fprintf(out, " <small>%zu</small></th>", m->rows[r].n_nodes);
	for (size_t c = 0; c < m->n_columns; c++)
		put_cell(m, r, c, out);
	fputs("</tr>\n", out);
}

void matrix_html(const struct matrix *m, const char *title, FILE *out)
{
	fputs(head, out);
	fputs("<title>", out);
	matrix_html_escaped(title, out);
	fputs("</title>\n</head>\n<body>\n<h1>", out);
	matrix_html_escaped(title, out);
	fprintf(out,
		"</h1>\n<p>Who reaches what: %zu groups, tags and users, %zu destinations. "
		"Hover over a cell for the rule that decides.</p>\n<table>\n",
		m->n_rows, m->n_columns);
	put_columns(m, out);
	fputs("<tbody>\n", out);
	for (size_t r = 0; r < m->n_rows; r++)
		put_row(m, r, out);
	fputs("</tbody>\n</table>\n", out);
	fputs(legend, out);
	if (m->rows_left_out || m->columns_left_out)
		fprintf(out, "<p>Not shown: %zu more rows, %zu more destinations.</p>\n", m->rows_left_out,
			m->columns_left_out);
	fputs("</body>\n</html>\n", out);
}
