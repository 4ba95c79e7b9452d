/* SPDX-License-Identifier: BSD-2-Clause */
/* What is asked of a coordination server, and its short answers (register.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/types/json_fields.h"
#include "user/tailnet/transport/noise_control.h"
#include "register.h"
#include "user/base/text.h"
#include "user/base/url.h"

static json_t *key_json(enum tailkey kind, const uint8_t key[KEY_LEN])
{
	char text[TAILKEY_SIZE];

	return json_string(tailkey_text(kind, key, text));
}

static char *register_dump(json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT);

	json_decref(root);
	return text;
}

char *register_request_json(const struct register_request *r)
{
	json_t *root = json_pack("{s:i, s:o, s:o, s:o}", "Version", CAPABILITY_VERSION, "NodeKey",
				 key_json(TAILKEY_NODE, r->node_key), "OldNodeKey",
				 key_json(TAILKEY_NODE, r->old_node_key), "Hostinfo", hostinfo_json(&r->host));

	if (r->auth_key)
		json_object_set_new(root, "Auth", json_pack("{s:s}", "AuthKey", r->auth_key));
	if (r->followup)
		json_object_set_new(root, "Followup", json_string(r->followup));
	if (r->logout) /* any time long past */
		json_object_set_new(root, "Expiry", json_string("1970-01-01T00:02:03Z"));
	return register_dump(root);
}

static enum register_result register_judge(struct fields *f, const json_t *root, struct register_response *out)
{
	const char *error = field_string(f, root, "Error"), *url = field_string(f, root, "AuthURL");
	bool expired = field_bool(f, root, "NodeKeyExpired");
	struct url parsed;

	out->authorized = field_bool(f, root, "MachineAuthorized");
	if (fields_bad(f))
		return REGISTER_BAD;
	if (error && *error) {
		text_escape(error, out->text, sizeof(out->text));
		return REGISTER_REFUSED;
	}
	if (url && *url) {
		if (strlen(url) >= sizeof(out->url) || !url_parse(url, &parsed)) {
			fields_mistake(f, "AuthURL", "not a URL");
			return REGISTER_BAD;
		}
		strcpy(out->url, url);
		return REGISTER_LOGIN;
	}
	return expired ? REGISTER_EXPIRED : REGISTER_DONE;
}

enum register_result register_response_read(const char *json, size_t len, struct register_response *out)
{
	struct fields f = {0};
	json_t *root = fields_parse(&f, json, len);
	enum register_result result = REGISTER_BAD;

	*out = (struct register_response){0};
	if (root)
		result = register_judge(&f, root, out);
	if (result == REGISTER_BAD)
		snprintf(out->text, sizeof(out->text), "answer to register: %s", f.error);
	json_decref(root);
	return result;
}

void refusal_text(const char *what, int status, const char *body, size_t len, char *out, size_t size)
{
	char raw[160], shown[200];

	snprintf(raw, sizeof(raw), "%.*s", (int)(len < 150 ? len : 150), body);
	raw[strcspn(raw, "\r\n")] = 0;
	snprintf(out, size, "%s refused: HTTP status %d%s%s", what, status, *raw ? ": " : "",
		 text_escape(raw, shown, sizeof(shown)));
}

char *map_request_json(const struct map_request *r)
{
	json_t *endpoints = json_array(), *types = json_array(), *root;
	char text[TEXT_ENDPOINT_SIZE];

	for (size_t i = 0; i < r->n_endpoints; i++) {
		const struct map_endpoint *e = &r->endpoints[i];

		json_array_append_new(endpoints, json_string(text_endpoint(&e->at.addr, e->at.port, text)));
		json_array_append_new(types, json_integer(e->type));
	}
	root = json_pack("{s:i, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "Version", CAPABILITY_VERSION,
			 "Compress", "", "KeepAlive", r->stream, "Stream", r->stream, "OmitPeers", !r->stream,
			 "NodeKey", key_json(TAILKEY_NODE, r->node_key), "DiscoKey",
			 key_json(TAILKEY_DISCO, r->disco_key), "Hostinfo", hostinfo_json(&r->host), "Endpoints",
			 endpoints, "EndpointTypes", types);
	return register_dump(root);
}
