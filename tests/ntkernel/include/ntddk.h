/* SPDX-License-Identifier: MIT */
#include "ntifs.h"
