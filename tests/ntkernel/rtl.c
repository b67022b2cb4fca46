/* SPDX-License-Identifier: MIT */
/* rtl.c - text, GUIDs, names with wildcards, ordered tables. */
#include "internal.h"

#define TAG_STRING 0x72747353u /* what Rtl allocates for a caller */

uint16_t *wide(const char *text, size_t *length)
{
	size_t n = strlen(text);
	uint16_t *out = take(2 * n + 2);

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)text[i];
	*length = 2 * n;
	return out;
}

/* ASCII, Latin-1, Greek and Cyrillic: as far as tests go. */
unsigned upcase(unsigned c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7) ||
	    (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) || (c >= 0x430 && c <= 0x44f))
		return c - 32;
	return c;
}

WCHAR RtlUpcaseUnicodeChar(WCHAR c)
{
	irql_at_most(PASSIVE_LEVEL + APC_LEVEL, __func__);
	return (WCHAR)upcase(c);
}

WCHAR RtlDowncaseUnicodeChar(WCHAR c)
{
	for (unsigned lower = 0; lower < 0x500; lower++)
		if (upcase(lower) == c && lower != c)
			return (WCHAR)lower;
	return c;
}

SIZE_T nt_wcslen(PCWSTR text)
{
	SIZE_T n = 0;

	while (text[n])
		n++;
	return n;
}

PWCHAR nt_wcschr(PCWSTR text, WCHAR c)
{
	for (;; text++) {
		if (*text == c)
			return (PWCHAR)(uintptr_t)text;
		if (!*text)
			return NULL;
	}
}

SIZE_T RtlCompareMemory(const void *a, const void *b, SIZE_T size)
{
	SIZE_T n = 0;

	while (n < size && ((const char *)a)[n] == ((const char *)b)[n])
		n++;
	return n;
}

PVOID nt_zero_for_sure(PVOID memory, SIZE_T size)
{
	volatile char *at = memory;

	while (size--)
		*at++ = 0;
	return memory;
}

void RtlInitUnicodeString(PUNICODE_STRING string, PCWSTR text)
{
	*string = (UNICODE_STRING){0, 0, (PWCH)(uintptr_t)text};
	if (text) {
		string->Length = (USHORT)(2 * nt_wcslen(text));
		string->MaximumLength = (USHORT)(string->Length + 2);
	}
}

NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING string, PCWSTR text)
{
	RtlInitUnicodeString(string, text);
	return STATUS_SUCCESS;
}

void RtlInitEmptyUnicodeString(PUNICODE_STRING string, PWCHAR buffer, USHORT size)
{
	*string = (UNICODE_STRING){0, size, buffer};
}

void RtlInitAnsiString(PANSI_STRING string, PCSZ text)
{
	*string = (ANSI_STRING){(USHORT)strlen(text), (USHORT)(strlen(text) + 1), (PCHAR)(uintptr_t)text};
}

void RtlCopyUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from)
{
	to->Length = from ? min(from->Length, to->MaximumLength) : 0;
	if (to->Length)
		memmove(to->Buffer, from->Buffer, to->Length);
	if (to->Length + 2u <= to->MaximumLength)
		to->Buffer[to->Length / 2] = 0;
}

NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING to, PCUNICODE_STRING from)
{
	if (from->Length == 0)
		return STATUS_SUCCESS;
	if ((size_t)to->Length + from->Length > to->MaximumLength)
		return STATUS_BUFFER_TOO_SMALL;
	memmove((char *)to->Buffer + to->Length, from->Buffer, from->Length);
	to->Length = (USHORT)(to->Length + from->Length);
	if (to->Length + 2u <= to->MaximumLength)
		to->Buffer[to->Length / 2] = 0;
	return STATUS_SUCCESS;
}

NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING to, PCWSTR from)
{
	UNICODE_STRING string;

	RtlInitUnicodeString(&string, from);
	return RtlAppendUnicodeStringToString(to, &string);
}

LONG RtlCompareUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless)
{
	irql_at_most(APC_LEVEL, __func__);
	for (unsigned i = 0; i < min(a->Length, b->Length) / 2u; i++) {
		unsigned x = a->Buffer[i], y = b->Buffer[i];

		if (caseless) {
			x = upcase(x);
			y = upcase(y);
		}
		if (x != y)
			return (LONG)x - (LONG)y;
	}
	return (LONG)a->Length - (LONG)b->Length;
}

BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless)
{
	return a->Length == b->Length && RtlCompareUnicodeString(a, b, caseless) == 0;
}

BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING prefix, PCUNICODE_STRING string, BOOLEAN caseless)
{
	UNICODE_STRING head = {prefix->Length, prefix->Length, string->Buffer};

	return prefix->Length <= string->Length && RtlEqualUnicodeString(prefix, &head, caseless);
}

NTSTATUS RtlHashUnicodeString(PCUNICODE_STRING string, BOOLEAN caseless, ULONG algorithm, PULONG hash)
{
	irql_at_most(APC_LEVEL, __func__);
	*hash = 0;
	for (unsigned i = 0; i < string->Length / 2u; i++)
		*hash = *hash * 65599 + (caseless ? upcase(string->Buffer[i]) : string->Buffer[i]);
	return STATUS_SUCCESS;
}

NTSTATUS RtlUpcaseUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from, BOOLEAN allocate)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (allocate) {
		to->MaximumLength = from->Length;
		to->Buffer = from->Length ? ExAllocatePoolWithTag(PagedPool, from->Length, TAG_STRING) : NULL;
		if (from->Length && !to->Buffer)
			return STATUS_NO_MEMORY;
	} else if (to->MaximumLength < from->Length) {
		return STATUS_BUFFER_OVERFLOW;
	}
	to->Length = from->Length;
	for (unsigned i = 0; i < from->Length / 2u; i++)
		to->Buffer[i] = (WCHAR)upcase(from->Buffer[i]);
	return STATUS_SUCCESS;
}

void RtlFreeUnicodeString(PUNICODE_STRING string)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (string->Buffer)
		ExFreePoolWithTag(string->Buffer, TAG_STRING);
	*string = (UNICODE_STRING){0, 0, NULL};
}

NTSTATUS RtlIntegerToUnicodeString(ULONG value, ULONG base, PUNICODE_STRING string)
{
	WCHAR digits[34];
	unsigned n = RTL_NUMBER_OF(digits);

	if (base == 0)
		base = 10;
	do
		digits[--n] = (WCHAR) "0123456789ABCDEF"[value % base];
	while ((value /= base) != 0);
	if (string->MaximumLength < (RTL_NUMBER_OF(digits) - n) * 2)
		return STATUS_BUFFER_OVERFLOW;
	string->Length = (USHORT)((RTL_NUMBER_OF(digits) - n) * 2);
	memcpy(string->Buffer, digits + n, string->Length);
	return STATUS_SUCCESS;
}

NTSTATUS RtlStringFromGUID(REFGUID guid, PUNICODE_STRING string)
{
	char text[40];

	irql_at_most(PASSIVE_LEVEL, __func__);
	snprintf(text, sizeof(text), "{%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X}", guid->Data1, guid->Data2,
		 guid->Data3, guid->Data4[0], guid->Data4[1], guid->Data4[2], guid->Data4[3], guid->Data4[4],
		 guid->Data4[5], guid->Data4[6], guid->Data4[7]);
	*string = (UNICODE_STRING){76, 78, ExAllocatePoolWithTag(PagedPool, 78, TAG_STRING)};
	if (!string->Buffer)
		return STATUS_NO_MEMORY;
	for (unsigned i = 0; i < 39; i++)
		string->Buffer[i] = (WCHAR)text[i];
	return STATUS_SUCCESS;
}

/* --- Names with wildcards -------------------------------------------------------------------------------- */

BOOLEAN nt_is_wild(WCHAR c)
{
	return c == '*' || c == '?' || c == DOS_STAR || c == DOS_QM || c == DOS_DOT;
}

BOOLEAN nt_is_legal(WCHAR c, BOOLEAN wild)
{
	if (c < ' ' || c == '"' || c == '<' || c == '>' || c == '|' || c == '*' || c == '?' || c == '/' || c == '\\')
		return wild && nt_is_wild(c);
	return TRUE;
}

BOOLEAN FsRtlDoesNameContainWildCards(PUNICODE_STRING name)
{
	for (unsigned i = 0; i < name->Length / 2u; i++)
		if (nt_is_wild(name->Buffer[i]))
			return TRUE;
	return FALSE;
}

BOOLEAN FsRtlAreNamesEqual(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless, PCWCH table)
{
	return RtlEqualUnicodeString(a, b, caseless);
}

static bool same(WCHAR pattern, WCHAR c, bool caseless)
{
	return caseless ? upcase(pattern) == upcase(c) : pattern == c;
}

static bool matches(const WCHAR *pattern, size_t n, const WCHAR *name, size_t m, bool caseless)
{
	for (; n; pattern++, n--) {
		switch (*pattern) {
		case '*':
			for (size_t skip = 0; skip <= m; skip++)
				if (matches(pattern + 1, n - 1, name + skip, m - skip, caseless))
					return true;
			return false;
		case '<': /* any number of characters, up to the last dot, which it does not take */
			for (size_t skip = 0; skip <= m; skip++) {
				if (matches(pattern + 1, n - 1, name + skip, m - skip, caseless))
					return true;
				if (skip < m && name[skip] == '.') {
					bool more = false;

					for (size_t i = skip + 1; i < m; i++)
						more |= name[i] == '.';
					if (!more)
						return false;
				}
			}
			return false;
		case '>': /* one character, or none at a dot or the end */
			if (m == 0 || *name == '.')
				continue;
			break;
		case '"': /* a dot, or the end */
			if (m == 0)
				continue;
			if (*name != '.')
				return false;
			break;
		case '?':
			if (m == 0)
				return false;
			break;
		default:
			if (m == 0 || !same(*pattern, *name, caseless))
				return false;
		}
		name++;
		m--;
	}
	return m == 0;
}

BOOLEAN FsRtlIsNameInExpression(PUNICODE_STRING expression, PUNICODE_STRING name, BOOLEAN caseless, PWCH table)
{
	irql_at_most(APC_LEVEL, __func__);
	/* With caseless, the expression has to be in upper case. */
	for (unsigned i = 0; caseless && i < expression->Length / 2u; i++)
		if (upcase(expression->Buffer[i]) != expression->Buffer[i])
			nt_fail("FsRtlIsNameInExpression: the expression is not in upper case");
	return matches(expression->Buffer, expression->Length / 2u, name->Buffer, name->Length / 2u, caseless);
}

void FsRtlDissectName(UNICODE_STRING path, PUNICODE_STRING first, PUNICODE_STRING rest)
{
	unsigned at = path.Length > 0 && path.Buffer[0] == '\\', begin = at, n = path.Length / 2u;

	while (at < n && path.Buffer[at] != '\\')
		at++;
	*first = (UNICODE_STRING){(USHORT)((at - begin) * 2), (USHORT)((at - begin) * 2), path.Buffer + begin};
	*rest = (UNICODE_STRING){0, 0, NULL};
	if (at < n)
		*rest = (UNICODE_STRING){(USHORT)((n - at - 1) * 2), (USHORT)((n - at - 1) * 2), path.Buffer + at + 1};
}

BOOLEAN FsRtlIsNtstatusExpected(NTSTATUS status)
{
	return status != STATUS_DATATYPE_MISALIGNMENT && status != STATUS_ACCESS_VIOLATION;
}

NTSTATUS FsRtlNormalizeNtstatus(NTSTATUS exception, NTSTATUS generic)
{
	return FsRtlIsNtstatusExpected(exception) ? exception : generic;
}

/* --- Tables ---------------------------------------------------------------------------------------------- */

/* In order, in one list: what is promised is the order, not the speed. */
struct nt_table_node {
	struct nt_table_node *next;
	char data[];
};

void RtlInitializeGenericTableAvl(PRTL_AVL_TABLE table, PRTL_AVL_COMPARE_ROUTINE compare,
				  PRTL_AVL_ALLOCATE_ROUTINE allocate, PRTL_AVL_FREE_ROUTINE release, PVOID context)
{
	*table = (RTL_AVL_TABLE){NULL, 0, compare, allocate, release, context};
}

static struct nt_table_node **table_find(PRTL_AVL_TABLE table, PVOID element, bool *found)
{
	struct nt_table_node **link = &table->first;

	for (*found = false; *link; link = &(*link)->next) {
		RTL_GENERIC_COMPARE_RESULTS order = table->CompareRoutine(table, element, (*link)->data);

		*found = order == GenericEqual;
		if (order != GenericGreaterThan)
			break;
	}
	return link;
}

PVOID RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element, CLONG size, PBOOLEAN added)
{
	bool found;
	struct nt_table_node **link = table_find(table, element, &found), *node;

	if (added)
		*added = !found;
	if (found)
		return (*link)->data;
	node = table->AllocateRoutine(table, (CLONG)(sizeof(*node) + size));
	if (!node) {
		if (added)
			*added = FALSE;
		return NULL;
	}
	memcpy(node->data, element, size);
	node->next = *link;
	*link = node;
	table->NumberGenericTableElements++;
	return node->data;
}

BOOLEAN RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element)
{
	bool found;
	struct nt_table_node **link = table_find(table, element, &found), *node = *link;

	if (!found)
		return FALSE;
	*link = node->next;
	table->FreeRoutine(table, node);
	table->NumberGenericTableElements--;
	return TRUE;
}

PVOID RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element)
{
	bool found;
	struct nt_table_node **link = table_find(table, element, &found);

	return found ? (*link)->data : NULL;
}

PVOID RtlGetElementGenericTableAvl(PRTL_AVL_TABLE table, ULONG index)
{
	struct nt_table_node *node = table->first;

	while (node && index--)
		node = node->next;
	return node ? node->data : NULL;
}

PVOID RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE table, PVOID *restart)
{
	struct nt_table_node *node = *restart ? ((struct nt_table_node *)*restart)->next : table->first;

	*restart = node;
	return node ? node->data : NULL;
}

BOOLEAN RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE table)
{
	return table->first == NULL;
}

ULONG RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE table)
{
	return table->NumberGenericTableElements;
}
