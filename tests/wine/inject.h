/* SPDX-License-Identifier: MIT */
/*
 * inject.h - the driver for tests that sends IRPs to a volume of driveway.sys, and what programs say to it
 *
 * Wine does not pass names below a device on, so that no program can open a file of our volumes there. inject.sys finds
 * the volume device of the last drive, and sends it the IRP that IOCTL_INJECT describes, by a file object of its own;
 * the call ends when the IRP does. Both drivers have to run in one process: their services are of one load order group.
 */
#ifndef DRIVEWAY_TESTS_WINE_INJECT_H
#define DRIVEWAY_TESTS_WINE_INJECT_H

#include <stdint.h>

#define INJECT_NAME    "DrivewayInject"
#define INJECT_GROUP   "DrivewayTests"
#define IOCTL_INJECT   ((uint32_t)(0x8d18u << 16 | 3u << 14 | 0x800u << 2))
#define INJECT_FILES   64u
#define INJECT_DATA    65536u
#define INJECT_NO_FILE 0xffffffffu

struct inject {
	uint32_t major, minor;
	uint32_t file;	  /* of INJECT_FILES; a create makes it, a close frees it */
	uint32_t related; /* INJECT_NO_FILE; create: folder; set information: target */
	uint32_t irp_flags, stack_flags;
	uint32_t access, options, attributes, share; /* create; options with the disposition in the upper 8 bits */
	uint32_t class;				     /* of information; or a control code */
	uint32_t length;			     /* of data */
	uint32_t input;				     /* file system control: bytes of data that are input */
	int32_t status;				     /* out */
	uint64_t offset;
	uint64_t information; /* out */
	uint32_t name_length; /* bytes */
	uint16_t name[512];
	uint8_t data[INJECT_DATA];
};

#endif
