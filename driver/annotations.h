/* SPDX-License-Identifier: MIT */
/*
 * annotations.h - the source annotations of the Windows kit where its headers do not know them
 *
 * The compiler that we build with ignores them; the static analysis of the Windows kit reads them.
 */
#ifndef DRIVEWAY_DRIVER_ANNOTATIONS_H
#define DRIVEWAY_DRIVER_ANNOTATIONS_H

#ifndef _IRQL_requires_max_
#define _IRQL_requires_max_(irql)
#endif
#ifndef _IRQL_requires_
#define _IRQL_requires_(irql)
#endif
#ifndef _IRQL_raises_
#define _IRQL_raises_(irql)
#endif
#ifndef _IRQL_saves_global_
#define _IRQL_saves_global_(kind, where)
#endif
#ifndef _Requires_lock_held_
#define _Requires_lock_held_(lock)
#endif
#ifndef _Acquires_lock_
#define _Acquires_lock_(lock)
#endif
#ifndef _Releases_lock_
#define _Releases_lock_(lock)
#endif
#ifndef _Must_inspect_result_
#define _Must_inspect_result_
#endif
#ifndef _Dispatch_type_
#define _Dispatch_type_(type)
#endif
#ifndef _Use_decl_annotations_
#define _Use_decl_annotations_
#endif
#ifndef _Function_class_
#define _Function_class_(name)
#endif

#endif
