/* SPDX-License-Identifier: MIT */
/* messages.h - well-formed requests of every operation, to test with and to spoil */
#ifndef TESTS_CHANNEL_MESSAGES_H
#define TESTS_CHANNEL_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "channel/fuse/protocol.h"

#define MESSAGE_MAX 1024u

/* Opcodes from 1 to this are tried. */
#define MESSAGE_OPCODES 64u

/*
 * Put a whole request of opcode into buffer (MESSAGE_MAX bytes, aligned for any struct), its header first. Returns its
 * size, 0 when there is no such operation. Node 1; names "name" and "other"; four bytes of data.
 */
size_t message_make(uint32_t opcode, void *buffer);

#endif
