/* SPDX-License-Identifier: MIT */
#include "service/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/text.h"

enum kind {
	KIND_TRANSPORT,
	KIND_BOOL,
	KIND_SECONDS,
	KIND_WORKERS,
};

struct description {
	const char *key;
	enum kind kind;
	size_t offset; /* of the member in struct options */
};

static const struct description descriptions[] = {
	{"transport", KIND_TRANSPORT, offsetof(struct options, transport)},
	{"passthrough", KIND_BOOL, offsetof(struct options, passthrough)},
	{"allow-other", KIND_BOOL, offsetof(struct options, allow_other)},
	{"default-permissions", KIND_BOOL, offsetof(struct options, default_permissions)},
	{"nonempty", KIND_BOOL, offsetof(struct options, nonempty)},
	{"trace", KIND_BOOL, offsetof(struct options, trace)},
	{"workers", KIND_WORKERS, offsetof(struct options, workers)},
	{"entry-timeout", KIND_SECONDS, offsetof(struct options, entry_timeout)},
	{"attr-timeout", KIND_SECONDS, offsetof(struct options, attr_timeout)},
	{"negative-timeout", KIND_SECONDS, offsetof(struct options, negative_timeout)},
};

const char *options_help(void)
{
	return "transport=auto|io_uring|plain  how requests come from the kernel (auto: plain)\n"
	       "passthrough=yes|no  let the kernel read and write backing files itself (yes)\n"
	       "allow-other  every user may use the drive, not only you\n"
	       "default-permissions  the kernel checks owner and mode; comes with allow-other\n"
	       "nonempty  map over a folder that is not empty\n"
	       "entry-timeout=S  seconds that the kernel believes a name\n"
	       "attr-timeout=S  seconds that the kernel believes attributes\n"
	       "negative-timeout=S  seconds that the kernel believes that a name is absent\n"
	       "workers=N  threads for calls that block, 1 to 256 (16)\n"
	       "trace  one line a request in the log\n";
}

static const struct description *find_description(const char *key)
{
	for (size_t i = 0; i < sizeof(descriptions) / sizeof(descriptions[0]); i++) {
		if (strcmp(descriptions[i].key, key) == 0)
			return &descriptions[i];
	}
	return NULL;
}

static int read_transport(const char *value, enum options_transport *out)
{
	if (strcmp(value, "auto") == 0)
		*out = OPTIONS_TRANSPORT_AUTO;
	else if (strcmp(value, "io_uring") == 0)
		*out = OPTIONS_TRANSPORT_RING;
	else if (strcmp(value, "plain") == 0)
		*out = OPTIONS_TRANSPORT_PLAIN;
	else
		return -EINVAL;
	return 0;
}

static int read_option(struct options *own, const struct description *what, const char *value, const char **wanted)
{
	void *member = (char *)own + what->offset;
	uint64_t number;
	int ret = 0;

	switch (what->kind) {
	case KIND_TRANSPORT:
		*wanted = "auto, io_uring or plain";
		ret = read_transport(value, member);
		break;
	case KIND_BOOL:
		*wanted = "yes or no";
		ret = text_parse_bool(value, member);
		break;
	case KIND_SECONDS:
		*wanted = "seconds, such as 1 or 0.5";
		ret = text_parse_seconds(value, member);
		break;
	case KIND_WORKERS:
		*wanted = "a number from 1 to 256";
		ret = text_parse_number(value, 256, &number);
		if (!ret && !number)
			ret = -ERANGE;
		if (!ret)
			*(unsigned *)member = (unsigned)number;
		break;
	}
	return ret;
}

int options_split(struct options *own, const struct dw_option *all, size_t count, struct dw_option *rest,
		  size_t *rest_count, char *error, size_t error_size)
{
	*own = (struct options){
		.passthrough = true,
		.entry_timeout = DW_TIMEOUT_DEFAULT,
		.attr_timeout = DW_TIMEOUT_DEFAULT,
		.negative_timeout = DW_TIMEOUT_DEFAULT,
	};
	*rest_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct description *what = find_description(all[i].key);
		const char *wanted = "";

		if (!what) {
			rest[(*rest_count)++] = all[i];
			continue;
		}
		if (read_option(own, what, all[i].value, &wanted)) {
			snprintf(error, error_size, "option %s cannot be \"%.100s\": write %s", what->key, all[i].value,
				 wanted);
			return -EINVAL;
		}
	}
	if (own->allow_other)
		own->default_permissions = true;
	return 0;
}
