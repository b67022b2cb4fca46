/* SPDX-License-Identifier: MIT */
/*
 * driveway-keyring: gets and puts keys of logins in the Secret Service, for keyring.h, which says how it is called
 *
 * A program of its own, because libsecret brings GLib and its threads, which neither the service nor the command wants.
 */
#include <libsecret/secret.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define KEY_MAX 256

enum verdict { GOOD, NO_KEY, NO_SERVICE, LOCKED, FAILED };

static const SecretSchema schema = {
	.name = "org.driveway.Login",
	.flags = SECRET_SCHEMA_NONE,
	.attributes = {{"login", SECRET_SCHEMA_ATTRIBUTE_STRING}, {NULL, 0}},
};

static enum verdict verdict_of(GError *error)
{
	enum verdict verdict = FAILED;

	if (!error)
		return GOOD;
	if (g_error_matches(error, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
		verdict = LOCKED;
	else if (error->domain == G_DBUS_ERROR || error->domain == G_IO_ERROR || error->domain == G_SPAWN_ERROR)
		verdict = NO_SERVICE;
	g_error_free(error);
	return verdict;
}

/* Whether what is new would go where it cannot: without asking anybody. */
static enum verdict look_at_default(SecretService *service)
{
	GError *error = NULL;
	SecretCollection *collection = secret_collection_for_alias_sync(service, SECRET_COLLECTION_DEFAULT,
									SECRET_COLLECTION_NONE, NULL, &error);
	enum verdict verdict = verdict_of(error);

	if (verdict == GOOD && (!collection || secret_collection_get_locked(collection)))
		verdict = LOCKED;
	if (collection)
		g_object_unref(collection);
	return verdict;
}

static enum verdict get(SecretService *service, GHashTable *attributes, bool prompt)
{
	SecretSearchFlags flags = SECRET_SEARCH_LOAD_SECRETS | (prompt ? SECRET_SEARCH_UNLOCK : 0);
	GError *error = NULL;
	GList *items = secret_service_search_sync(service, &schema, attributes, flags, NULL, &error);
	enum verdict verdict = verdict_of(error);
	SecretValue *value;
	const char *text;
	gsize length = 0;

	if (verdict != GOOD)
		return verdict;
	if (!items) {
		/* A keyring that is locked as a whole may hide what it has. */
		verdict = look_at_default(service);
		return verdict == GOOD ? NO_KEY : verdict;
	}
	value = secret_item_get_secret(items->data);
	text = value ? secret_value_get(value, &length) : NULL;
	if (!text)
		verdict = secret_item_get_locked(items->data) ? LOCKED : FAILED;
	else if (fwrite(text, 1, length, stdout) != length || fflush(stdout))
		verdict = FAILED;
	if (value)
		secret_value_unref(value);
	g_list_free_full(items, g_object_unref);
	return verdict;
}

static enum verdict put(SecretService *service, GHashTable *attributes, bool prompt)
{
	enum verdict verdict = prompt ? GOOD : look_at_default(service);
	SecretValue *value;
	char key[KEY_MAX];
	GError *error = NULL;
	size_t length;

	if (verdict != GOOD)
		return verdict;
	length = fread(key, 1, sizeof(key), stdin);
	if (!length)
		return FAILED;
	value = secret_value_new(key, (gssize)length, "text/plain");
	explicit_bzero(key, sizeof(key));
	secret_service_store_sync(service, &schema, attributes, SECRET_COLLECTION_DEFAULT,
				  "Driveway: the key of a login", value, NULL, &error);
	secret_value_unref(value);
	return verdict_of(error);
}

int main(int count, char **words)
{
	bool prompt = count == 4 && strcmp(words[2], "--prompt") == 0;
	enum verdict verdict = FAILED;
	SecretService *service;
	GHashTable *attributes;
	GError *error = NULL;

	if (count != 3 + prompt)
		return FAILED;
	service = secret_service_get_sync(SECRET_SERVICE_OPEN_SESSION | SECRET_SERVICE_LOAD_COLLECTIONS, NULL, &error);
	if (!service) {
		verdict = verdict_of(error);
		return verdict == GOOD ? NO_SERVICE : (int)verdict;
	}
	attributes = secret_attributes_build(&schema, "login", words[count - 1], NULL);
	if (strcmp(words[1], "get") == 0)
		verdict = get(service, attributes, prompt);
	else if (strcmp(words[1], "put") == 0)
		verdict = put(service, attributes, prompt);
	g_hash_table_unref(attributes);
	g_object_unref(service);
	return (int)verdict;
}
