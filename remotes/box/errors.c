/* SPDX-License-Identifier: MIT */
/* What Box's refusals mean: by the code where it says one that is known, else by the status. */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct meaning {
	unsigned status; /* 0: any */
	const char *code;
	int error;
};

static const struct meaning by_code[] = {
	{0, "item_name_invalid", -EINVAL},
	{0, "item_name_too_long", -ENAMETOOLONG},
	{0, "item_name_in_use", -EEXIST},
	{0, "name_temporarily_reserved", -EBUSY},
	{0, "operation_blocked_temporary", -EBUSY},
	{0, "access_denied_item_locked", -EBUSY},
	{0, "item_locked", -EBUSY},
	{0, "locked", -EBUSY},
	{0, "folder_not_empty", -ENOTEMPTY},
	{0, "cyclical_folder_structure", -ELOOP},
	{0, "bad_digest", -EBADMSG},
	{0, "part_hash_mismatch", -EBADMSG},
	{0, "storage_limit_exceeded", -ENOSPC},
	{0, "insufficient_storage", -ENOSPC},
	{0, "file_size_limit_exceeded", -EFBIG},
	{0, "session_expired", DW_REMOTE_EXPIRED},
	{0, "upload_failed", DW_REMOTE_EXPIRED},
	{0, "precondition_failed", DW_REMOTE_CHANGED},
	{0, "sync_item_move_failure", -EBUSY},
	{0, "sync_folder_move_failure", -EBUSY},
	{0, "rate_limit_exceeded", DW_REMOTE_LATER},
};

static const struct meaning by_status[] = {
	{400, NULL, -EPROTO},
	{401, NULL, DW_REMOTE_LOGIN},
	{403, NULL, -EACCES},
	{404, NULL, -ENOENT},
	{405, NULL, -EACCES},
	{409, NULL, -EBUSY},
	{410, NULL, DW_REMOTE_EXPIRED},
	{412, NULL, DW_REMOTE_CHANGED},
	{413, NULL, -EFBIG},
	{416, NULL, -EPROTO},
	{423, NULL, -EBUSY},
	{429, NULL, DW_REMOTE_LATER},
	{507, NULL, -ENOSPC},
	{503, NULL, DW_REMOTE_LATER},
};

void box_say_unreachable(struct dw_remote_call *call, int error, const struct http_response *response)
{
	box_say(call, error == -ENOTCONN ? "there is no safe connection to Box: %s" : "Box cannot be reached: %s",
		response->error);
}

void box_say(struct dw_remote_call *call, const char *format, ...)
{
	char line[DW_REMOTE_MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_printable(call->message, sizeof(call->message), line);
}

/* 400 with a complaint about the name, in context_info.errors. */
static bool blames_name(const json_t *json)
{
	const json_t *errors = box_json_at(json, "context_info", "errors");
	const json_t *one;
	size_t i;

	json_array_foreach(errors, i, one)
	{
		const char *name = box_json_text(one, "name");

		if (name && strcmp(name, "name") == 0)
			return true;
	}
	return false;
}

static int meaning_of(unsigned status, const char *code, const json_t *json)
{
	for (size_t i = 0; i < sizeof(by_code) / sizeof(*by_code); i++) {
		if (strcmp(code, by_code[i].code) == 0 && (!by_code[i].status || by_code[i].status == status))
			return by_code[i].error;
	}
	if (status == 400 && blames_name(json))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(by_status) / sizeof(*by_status); i++) {
		if (by_status[i].status == status)
			return by_status[i].error;
	}
	return status >= 500 ? -EIO : -EPROTO;
}

int box_error(struct dw_remote_call *call, unsigned status, const char *code, const json_t *json)
{
	const char *message = box_json_text(json, "message");
	const char *request = box_json_text(json, "request_id");
	char about[48] = "";

	if (request)
		snprintf(about, sizeof(about), ", request %.32s", request);
	box_say(call, "Box: %.120s (%u%s%s%s)", message ? message : "no reason given", status, *code ? " " : "", code,
		about);
	return meaning_of(status, code, json);
}

bool box_conflict(const json_t *json, char out[BOX_NUMBER_MAX + 2])
{
	const json_t *conflicts = box_json_at(json, "context_info", "conflicts");
	const char *type;

	if (json_is_array(conflicts))
		conflicts = json_array_get(conflicts, 0);
	type = box_json_text(conflicts, "type");
	if (!type || !box_json_copy(conflicts, "id", out + 1, BOX_NUMBER_MAX) || !box_number_valid(out + 1))
		return false;
	out[0] = strcmp(type, "file") == 0 ? 'f' : strcmp(type, "folder") == 0 ? 'd' : 'w';
	return true;
}
