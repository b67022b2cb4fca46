/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a request: decoder and dispatch neither crash nor step outside of what they were given. Built for
 * libFuzzer where the compiler has it; elsewhere FUZZ_REPLAY makes a main that goes through a corpus of its own: every
 * operation, whole, cut at every length, and with every byte spoilt.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/fuse/request.h"
#include "fake_fs.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_state *state;
static struct fake_fs fake;
static struct drive drive;
static struct region_slot slot;
static char *buffer;

static void set_up(void)
{
	state = calloc(1, sizeof(*state));
	buffer = aligned_alloc(4096, REGION_BUFFER);
	if (!state || !buffer)
		abort();
	fake_state_init(state, false);
	fake_add(state, "name", DW_MODE_FILE | 0644, "some text");
	fake_fs_init(&fake, state, DW_FS_NOWAIT);
	drive_prepare(&drive, &fake.base, false);
}

/* On a ring the same message comes in two parts. */
static void run(const uint8_t *body, size_t size, bool ring)
{
	_Atomic uint32_t interrupted = 1;
	struct call call = {.drive = &drive, .slot = &slot, .buffer = buffer, .ring = ring};
	size_t split = decode_operation_size(slot.in.opcode, false);
	char *exact = malloc(size ? size : 1);
	int error;

	if (!exact)
		abort();
	memcpy(exact, body, size);
	if (split > size)
		split = size;
	error = ring ? decode_parts(&slot.in, exact, split, exact + split, size - split, false, &call.message)
		     : decode_run(&slot.in, exact, size, false, &call.message);
	if (error == 0) {
		memset(&slot.notes, 0, sizeof(slot.notes));
		call.req = (struct dw_request){.size = sizeof(call.req),
					       .notes = &slot.notes,
					       .flags = DW_REQUEST_NOWAIT,
					       .interrupted = (const volatile uint32_t *)&interrupted};
		error = dispatch(&call);
		if (error > 0 || error <= -512)
			abort();
		if (error == 0 && !slot.reply_external && slot.reply_size > REGION_REPLY_MAX)
			abort();
		if (error == 0 && slot.reply_external && slot.reply_offset + slot.reply_size > REGION_BUFFER)
			abort();
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!state)
		set_up();
	if (size < sizeof(slot.in))
		return 0;
	memcpy(&slot.in, data, sizeof(slot.in));
	if (slot.in.opcode > MESSAGE_OPCODES)
		slot.in.opcode %= MESSAGE_OPCODES + 1;
	run(data + sizeof(slot.in), size - sizeof(slot.in), true);
	slot.in.len = (uint32_t)size;
	run(data + sizeof(slot.in), size - sizeof(slot.in), false);
	return 0;
}

#ifdef FUZZ_REPLAY
int main(void)
{
	static const uint8_t spoilers[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	_Alignas(8) uint8_t message[MESSAGE_MAX], spoilt[MESSAGE_MAX];

	for (uint32_t opcode = 0; opcode <= MESSAGE_OPCODES; opcode++) {
		size_t whole = message_make(opcode, message);

		for (size_t size = 0; size <= whole; size++)
			LLVMFuzzerTestOneInput(message, size);
		for (size_t at = 0; at < whole; at++)
			for (size_t i = 0; i < sizeof(spoilers); i++) {
				memcpy(spoilt, message, whole);
				spoilt[at] = spoilers[i];
				LLVMFuzzerTestOneInput(spoilt, whole);
			}
	}
	free(state);
	free(buffer);
	return 0;
}
#endif
