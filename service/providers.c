/* SPDX-License-Identifier: MIT */
#include "service/providers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/module.h"
#include "service/plugin.h"
#include "support/text.h"

#define PATH_ROOM 4096

struct loaded {
	struct loaded *next;
	const struct dw_provider *provider;
	char path[];
};

struct providers {
	const struct dw_provider *const *builtin;
	size_t builtin_count;
	char *folders[PLUGIN_FOLDERS_MAX];
	size_t folder_count;
	pthread_mutex_t lock; /* of loaded */
	struct loaded *loaded;
};

int providers_create(struct providers **out, const struct dw_provider *const *builtin, size_t count,
		     const char *const *folders)
{
	struct providers *providers = calloc(1, sizeof(*providers));

	if (!providers)
		return -ENOMEM;
	providers->builtin = builtin;
	providers->builtin_count = count;
	pthread_mutex_init(&providers->lock, NULL);
	for (size_t i = 0; folders[i] && i < PLUGIN_FOLDERS_MAX; i++) {
		providers->folders[i] = text_duplicate(folders[i]);
		if (!providers->folders[i]) {
			providers_destroy(providers);
			return -ENOMEM;
		}
		providers->folder_count++;
	}
	*out = providers;
	return 0;
}

void providers_destroy(struct providers *providers)
{
	struct loaded *loaded = providers->loaded;

	while (loaded) {
		struct loaded *next = loaded->next;

		free(loaded);
		loaded = next;
	}
	for (size_t i = 0; i < providers->folder_count; i++)
		free(providers->folders[i]);
	pthread_mutex_destroy(&providers->lock);
	free(providers);
}

static bool name_is_valid(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length > 0 && length < 64 && name[length] == '\0';
}

int providers_check(const struct dw_provider *provider, const char *where, char *error, size_t error_size)
{
	const size_t versioned = offsetof(struct dw_provider, version) + sizeof(provider->version);
	const size_t whole = offsetof(struct dw_provider, open) + sizeof(provider->open);

	if (provider->size >= versioned && provider->version >> 16 != DW_API_VERSION >> 16) {
		snprintf(error, error_size,
			 "%s was built for version %u of the interface and this is version %u: build it again with "
			 "the headers that are installed here",
			 where, (unsigned)(provider->version >> 16), (unsigned)(DW_API_VERSION >> 16));
		return -EPROTO;
	}
	if (provider->size < whole) {
		snprintf(error, error_size,
			 "%s gives its size as %u bytes, which is too short: set .size = sizeof(struct dw_provider)",
			 where, (unsigned)provider->size);
		return -EPROTO;
	}
	if (!provider->open || !provider->name || !name_is_valid(provider->name)) {
		snprintf(error, error_size,
			 "%s is not a complete provider: it needs a name of lower-case letters, digits and '-', and an "
			 "open function",
			 where);
		return -EINVAL;
	}
	return 0;
}

int providers_check_filesystem(const struct dw_filesystem *fs, const char *name, char *error, size_t error_size)
{
	const struct dw_filesystem_ops *ops = fs->ops;

	if (fs->size < offsetof(struct dw_filesystem, negative_timeout) + sizeof(fs->negative_timeout) || !ops ||
	    ops->size < offsetof(struct dw_filesystem_ops, read) + sizeof(ops->read)) {
		snprintf(error, error_size,
			 "provider %s gives sizes that are too short: set .size of dw_filesystem and "
			 "dw_filesystem_ops with sizeof",
			 name);
		return -EPROTO;
	}
	if (!ops->lookup || !ops->getattr || !ops->readdir || !ops->read) {
		snprintf(error, error_size, "provider %s lacks one of lookup, getattr, readdir and read", name);
		return -EPROTO;
	}
	return 0;
}

/* Find the module that makes drives of remotes. */
static int load_cache(struct providers *providers, const struct cache_module **out, char *error, size_t error_size)
{
	const struct cache_module *module = NULL;
	char path[PATH_ROOM], reason[512] = "";
	const void *symbol = NULL;
	int ret = -ENOENT;

	for (size_t i = 0; i < providers->folder_count && ret == -ENOENT; i++) {
		if (text_format(path, sizeof(path), "%s/" CACHE_MODULE_NAME PLUGIN_SUFFIX, providers->folders[i]))
			ret = plugin_load(path, CACHE_MODULE_SYMBOL, &symbol, reason, sizeof(reason));
	}
	module = symbol;
	if (!ret && (module->size != sizeof(*module) || !module->wrap)) {
		ret = -EPROTO;
		(void)text_copy(reason, sizeof(reason), "it is of another version");
	}
	if (ret)
		snprintf(error, error_size,
			 "the cache, " CACHE_MODULE_NAME PLUGIN_SUFFIX ", cannot be loaded (%s): install it "
			 "beside the plug-ins",
			 *reason ? reason : strerror(-ret));
	*out = module;
	return ret == -ENOENT ? -EINVAL : ret;
}

/* The plug-in at path is a remote: a drive of it is the cache over it. */
static int wrap_remote(struct providers *providers, const char *path, const struct dw_remote_provider *remote,
		       const struct dw_provider **out, char *error, size_t error_size)
{
	const struct cache_module *module;
	char reason[512] = "";
	int ret = load_cache(providers, &module, error, error_size);

	if (ret)
		return ret;
	ret = module->wrap(remote, out, reason, sizeof(reason));
	if (ret)
		snprintf(error, error_size, "%s cannot be used: %s", path, *reason ? reason : strerror(-ret));
	return ret;
}

/* The provider that the shared object at path exports, or is made of the remote that it exports. */
static int load_provider(struct providers *providers, const char *path, const struct dw_provider **out, char *error,
			 size_t error_size)
{
	const void *symbol = NULL, *remote = NULL;
	char reason[512] = "", other[512] = "";
	int ret = plugin_load(path, DW_PROVIDER_SYMBOL, &symbol, reason, sizeof(reason));

	if (ret == -ENOENT)
		return ret;
	if (ret && plugin_load(path, DW_REMOTE_SYMBOL, &remote, other, sizeof(other)) == 0) {
		ret = wrap_remote(providers, path, remote, out, error, error_size);
		symbol = *out;
	} else if (ret) {
		snprintf(error, error_size, "%s is not a Driveway plug-in: %s", path, reason);
	}
	if (ret)
		return ret;
	*out = symbol;
	return providers_check(symbol, path, error, error_size);
}

/* Load path, or find it among those that are loaded. */
static int load(struct providers *providers, const char *path, const struct dw_provider **out, char *error,
		size_t error_size)
{
	size_t size = strlen(path) + 1;
	const struct dw_provider *provider = NULL;
	struct loaded *loaded;
	int ret;

	pthread_mutex_lock(&providers->lock);
	for (loaded = providers->loaded; loaded; loaded = loaded->next) {
		if (strcmp(loaded->path, path) == 0) {
			*out = loaded->provider;
			ret = 0;
			goto out;
		}
	}
	ret = load_provider(providers, path, &provider, error, error_size);
	if (ret)
		goto out;
	loaded = calloc(1, sizeof(*loaded) + size);
	if (!loaded) {
		ret = -ENOMEM;
		goto out;
	}
	memcpy(loaded->path, path, size);
	loaded->provider = provider;
	loaded->next = providers->loaded;
	providers->loaded = loaded;
	*out = provider;
out:
	pthread_mutex_unlock(&providers->lock);
	return ret;
}

static void append_name(void *context, const char *name)
{
	char *list = context;
	size_t length = strlen(list);

	if (length < 400 && strcmp(name, CACHE_MODULE_NAME) != 0)
		snprintf(list + length, 512 - length, "%s%s", length ? ", " : "", name);
}

static void list_names(struct providers *providers, char list[512])
{
	list[0] = '\0';
	for (size_t i = 0; i < providers->builtin_count; i++)
		append_name(list, providers->builtin[i]->name);
	for (size_t i = 0; i < providers->folder_count; i++)
		plugin_list(providers->folders[i], append_name, list);
}

int providers_find(struct providers *providers, const char *name, const struct dw_provider **out, char *error,
		   size_t error_size)
{
	char path[PATH_ROOM], list[512];
	int ret = -ENOENT;

	if (strchr(name, '/')) {
		ret = load(providers, name, out, error, error_size);
		if (ret == -ENOENT)
			snprintf(error, error_size, "there is no plug-in %s: correct the path", name);
		return ret;
	}
	for (size_t i = 0; i < providers->builtin_count; i++) {
		if (strcmp(providers->builtin[i]->name, name) == 0) {
			*out = providers->builtin[i];
			return 0;
		}
	}
	for (size_t i = 0; i < providers->folder_count && ret == -ENOENT && name_is_valid(name); i++) {
		if (text_format(path, sizeof(path), "%s/%s" PLUGIN_SUFFIX, providers->folders[i], name))
			ret = load(providers, path, out, error, error_size);
	}
	if (ret == -ENOENT) {
		list_names(providers, list);
		snprintf(error, error_size, "there is no provider \"%.64s\": use one of %s, or the path of a plug-in",
			 name, list);
	}
	return ret;
}

struct each_context {
	struct providers *providers;
	const char *folder;
	void (*each)(void *context, const struct dw_provider *provider, const char *origin);
	void *context;
};

static void each_plugin(void *context, const char *name)
{
	struct each_context *each = context;
	const struct dw_provider *provider;
	char path[PATH_ROOM], error[512];

	if (!name_is_valid(name) || !text_format(path, sizeof(path), "%s/%s" PLUGIN_SUFFIX, each->folder, name))
		return;
	if (load(each->providers, path, &provider, error, sizeof(error)) == 0)
		each->each(each->context, provider, path);
}

void providers_each(struct providers *providers,
		    void (*each)(void *context, const struct dw_provider *provider, const char *origin), void *context)
{
	struct each_context all = {.providers = providers, .each = each, .context = context};

	for (size_t i = 0; i < providers->builtin_count; i++)
		each(context, providers->builtin[i], "built in");
	for (size_t i = 0; i < providers->folder_count; i++) {
		all.folder = providers->folders[i];
		plugin_list(all.folder, each_plugin, &all);
	}
}
