/* SPDX-License-Identifier: MIT */
#include "emulators/box/route.h"

#include "emulators/box/download.h"
#include "emulators/box/events.h"
#include "emulators/box/nodes.h"
#include "emulators/box/oauth.h"
#include "emulators/box/upload.h"
#include "support/text.h"

#include <string.h>

/* More special paths stand before those whose argument would match them. */
static const struct route routes[] = {
	{"trash.items", "GET", "/folders/trash/items", trash_items, .lock = LOCK_READ},
	{"folder.items", "GET", "/folders/:/items", folders_items, .lock = LOCK_READ},
	{"file.content", "GET", "/files/:/content", download_redirect, .lock = LOCK_READ},
	{"data", "GET", "/d/1/:/download", download_data, .open = true},
	{"file.upload", "POST", "/files/content", upload_file, LOCK_WRITE, BODY_MULTIPART, .upload = true},
	{"file.preflight", "OPTIONS", "/files/content", upload_preflight, .lock = LOCK_READ},
	{"file.upload_version", "POST", "/files/:/content", upload_version, LOCK_WRITE, BODY_MULTIPART, .upload = true},
	{"file.preflight_version", "OPTIONS", "/files/:/content", upload_preflight, .lock = LOCK_READ},

	{"session.create", "POST", "/files/upload_sessions", sessions_create, LOCK_WRITE, .upload = true},
	{"session.create_version", "POST", "/files/:/upload_sessions", sessions_create, LOCK_WRITE, .upload = true},
	{"session.part", "PUT", "/files/upload_sessions/:", sessions_put_part, LOCK_NONE, BODY_PART, .upload = true},
	{"session.get", "GET", "/files/upload_sessions/:", sessions_get, LOCK_READ, .upload = true},
	{"session.abort", "DELETE", "/files/upload_sessions/:", sessions_abort, LOCK_WRITE, .upload = true},
	{"session.parts", "GET", "/files/upload_sessions/:/parts", sessions_parts, LOCK_READ, .upload = true},
	{"session.commit", "POST", "/files/upload_sessions/:/commit", sessions_commit, LOCK_NONE, .upload = true},

	{"users.me", "GET", "/users/me", users_me, .lock = LOCK_READ},
	{"events.get", "GET", "/events", events_get, .lock = LOCK_READ},
	{"events.servers", "OPTIONS", "/events", events_servers, .lock = LOCK_READ},
	{"events.poll", "GET", "/subscribe", events_poll, .open = true},

	{"folder.trash", "GET", "/folders/:/trash", trash_get, .lock = LOCK_READ},
	{"folder.purge", "DELETE", "/folders/:/trash", trash_purge, .lock = LOCK_WRITE},
	{"file.trash", "GET", "/files/:/trash", trash_get, .lock = LOCK_READ},
	{"file.purge", "DELETE", "/files/:/trash", trash_purge, .lock = LOCK_WRITE},

	{"folder.create", "POST", "/folders", folders_create, .lock = LOCK_WRITE},
	{"folder.get", "GET", "/folders/:", nodes_get, .lock = LOCK_READ},
	{"folder.update", "PUT", "/folders/:", nodes_update, .lock = LOCK_WRITE},
	{"folder.delete", "DELETE", "/folders/:", nodes_delete, .lock = LOCK_WRITE},
	{"folder.restore", "POST", "/folders/:", trash_restore, .lock = LOCK_WRITE},
	{"folder.copy", "POST", "/folders/:/copy", nodes_copy, .lock = LOCK_WRITE},
	{"file.get", "GET", "/files/:", nodes_get, .lock = LOCK_READ},
	{"file.update", "PUT", "/files/:", nodes_update, .lock = LOCK_WRITE},
	{"file.delete", "DELETE", "/files/:", nodes_delete, .lock = LOCK_WRITE},
	{"file.restore", "POST", "/files/:", trash_restore, .lock = LOCK_WRITE},
	{"file.copy", "POST", "/files/:/copy", nodes_copy, .lock = LOCK_WRITE},

	{"version.list", "GET", "/files/:/versions", versions_list, .lock = LOCK_READ},
	{"version.promote", "POST", "/files/:/versions/current", versions_promote, .lock = LOCK_WRITE},
	{"version.get", "GET", "/files/:/versions/:", versions_get, .lock = LOCK_READ},
	{"version.delete", "DELETE", "/files/:/versions/:", versions_delete, .lock = LOCK_WRITE},

	{"metadata.list", "GET", "/files/:/metadata", metadata_list, .lock = LOCK_READ},
	{"metadata.get", "GET", "/files/:/metadata/:/:", metadata_get, .lock = LOCK_READ},
	{"metadata.create", "POST", "/files/:/metadata/:/:", metadata_create, .lock = LOCK_WRITE},
	{"metadata.update", "PUT", "/files/:/metadata/:/:", metadata_update, .lock = LOCK_WRITE},
	{"metadata.delete", "DELETE", "/files/:/metadata/:/:", metadata_delete, .lock = LOCK_WRITE},
	{"metadata.list", "GET", "/folders/:/metadata", metadata_list, .lock = LOCK_READ},
	{"metadata.get", "GET", "/folders/:/metadata/:/:", metadata_get, .lock = LOCK_READ},
	{"metadata.create", "POST", "/folders/:/metadata/:/:", metadata_create, .lock = LOCK_WRITE},
	{"metadata.update", "PUT", "/folders/:/metadata/:/:", metadata_update, .lock = LOCK_WRITE},
	{"metadata.delete", "DELETE", "/folders/:/metadata/:/:", metadata_delete, .lock = LOCK_WRITE},

	{"oauth.authorize", "GET", "/oauth2/authorize", oauth_authorize, LOCK_WRITE, .open = true},
	{"oauth.approve", "POST", "/oauth2/authorize", oauth_approve, LOCK_WRITE, .open = true},
	{"oauth.token", "POST", "/oauth2/token", oauth_token, LOCK_NONE, .open = true},
	{"oauth.revoke", "POST", "/oauth2/revoke", oauth_revoke, LOCK_WRITE, .open = true},
};

static bool route_matches(const char *pattern, const char *path, struct request *request)
{
	int argument = 0;
	size_t length;

	for (int i = 0; i < REQUEST_ARGUMENTS; i++)
		request->arguments[i][0] = '\0';
	while (*pattern) {
		if (*pattern != ':') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		pattern++;
		length = strcspn(path, "/");
		if (!length || length >= REQUEST_TEXT)
			return false;
		memcpy(request->arguments[argument], path, length);
		request->arguments[argument++][length] = '\0';
		path += length;
	}
	return !*path;
}

const struct route *route_find(struct request *request, bool *known)
{
	const char *path = request->path;
	bool upload_host = text_starts_with(path, "/api/");
	char trimmed[2048];
	size_t length;

	*known = false;
	path += upload_host ? 4 : 0;
	if (text_starts_with(path, "/2.0/"))
		path += 4;
	else if (!text_starts_with(path, "/oauth2/") && !text_starts_with(path, "/d/"))
		return NULL;
	if (!text_copy(trimmed, sizeof(trimmed), path))
		return NULL;
	/* Some clients end paths with a slash. */
	length = strlen(trimmed);
	while (length > 1 && trimmed[length - 1] == '/')
		trimmed[--length] = '\0';
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if ((routes[i].upload && !upload_host) || !route_matches(routes[i].path, trimmed, request))
			continue;
		*known = true;
		if (strcmp(routes[i].method, request->method) == 0)
			return &routes[i];
	}
	return NULL;
}
