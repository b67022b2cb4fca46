/* SPDX-License-Identifier: MIT */
/*
 * ntifs.h - what a file system driver sees of the kernel, for the user-mode kernel in tests/ntkernel
 *
 * Types, constants and prototypes under the names and with the layouts that the Windows driver documentation gives
 * them, as far as the driver uses them, written for a 64-bit Linux: ULONG has 32 bits whatever `unsigned long` has, and
 * WCHAR is wchar_t, which has 16 bits by -fshort-wchar. Calling conventions and annotations are nothing here. Structs
 * that drivers may not look into have the members that this kernel needs, not those of Windows.
 *
 * What Windows defines as a macro that writes straight into an IRP is a function where the kernel has a rule to check:
 * IoMarkIrpPending, IoSetCancelRoutine, IoSetNextIrpStackLocation and kin.
 */
#ifndef NTKERNEL_NTIFS_H
#define NTKERNEL_NTIFS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nt/base.h"
#include "nt/status.h"

#include "nt/rtl.h"

#include "nt/ke.h"

#include "nt/io.h"

#include "nt/files.h"

#include "nt/fsrtl.h"

#endif
