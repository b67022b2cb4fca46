/* SPDX-License-Identifier: MIT */
#include "emulators/box/account.h"

#define FIRST_ROOT 3 /* the key of the first root folder; those of other folders are far above */
#define QUOTA	   (INT64_C(10) << 40)

int64_t account_add_user(struct emulator *emulator, int64_t id, const char *login, const char *name, int64_t quota)
{
	struct store *store = emulator->store;
	int64_t root = store_number(store, FIRST_ROOT - 2, "SELECT max(root) FROM user", "") + 2;
	int64_t now = clock_now(&emulator->clock);

	if (!id)
		id = store_number(store, ACCOUNT_DEMO_USER, "SELECT max(id) FROM user", "") + 1;
	store_run(store, "INSERT INTO user (id, login, name, root, quota, upload_limit) VALUES (?, ?, ?, ?, ?, ?)",
		  "issiii", id, login, name, root, quota ? quota : QUOTA, ACCOUNT_UPLOAD_LIMIT);
	store_run(store,
		  "INSERT INTO item (key, owner, parent, folder, name, fold, size, sha1, version, etag, created, "
		  "modified,"
		  " content_created, content_modified, trashed, extras) VALUES (?1, ?2, 0, 1, 'All Files', ?1, 0, '', "
		  "0, 0,"
		  " ?3, ?3, ?3, ?3, 0, 0)",
		  "iii", root, id, now);
	return id;
}

void account_add_app(struct emulator *emulator, const char *client, const char *secret, const char *redirects,
		     const char *keys, int64_t user, const char *enterprise)
{
	store_run(emulator->store, "INSERT OR REPLACE INTO app VALUES (?, ?, ?, ?, ?, ?)", "ssssis", client, secret,
		  redirects, keys, user, enterprise);
}

void account_prepare(struct emulator *emulator, int64_t quota)
{
	struct store *store = emulator->store;

	if (!store_number(store, 0, "SELECT 1 FROM user WHERE id = ?", "i", (int64_t)ACCOUNT_DEMO_USER)) {
		account_add_user(emulator, ACCOUNT_DEMO_USER, "demo@example.com", "Demo User", quota);
		account_add_user(emulator, ACCOUNT_COLLEAGUE, "colleague@example.com", "A Colleague", 0);
		account_add_app(emulator, ACCOUNT_DEMO_CLIENT, ACCOUNT_DEMO_SECRET,
				"[\"http://127.0.0.1/\",\"http://127.0.0.1/callback\",\"http://localhost/\","
				"\"http://localhost/callback\",\"http://127.0.0.1\",\"http://localhost\"]",
				"{}", ACCOUNT_DEMO_USER, ACCOUNT_DEMO_ENTERPRISE);
	} else if (quota) {
		store_run(store, "UPDATE user SET quota = ? WHERE id = ?", "ii", quota, (int64_t)ACCOUNT_DEMO_USER);
	}
}
