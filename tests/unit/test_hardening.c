/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program as it was linked: what its flags promise is in it. Of most things a header or a symbol tells; where
 * only code does, the instruction that the compiler puts there is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct image {
	const uint8_t *bytes;
	size_t size;
	const Elf64_Ehdr *head;
	const Elf64_Phdr *parts;
} image;

/* sluice, two folders above this test. */
static int open_image(void **state)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	struct stat st;
	int fd;

	assert_true(n > 0);
	path[n] = '\0';
	for (int i = 0; i < 3; i++) {
		slash = strrchr(path, '/');
		assert_non_null(slash);
		*slash = '\0';
	}
	strcat(path, "/sluice");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && !fstat(fd, &st));
	image.size = (size_t)st.st_size;
	image.bytes = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_true(image.bytes != MAP_FAILED);
	image.head = (const void *)image.bytes;
	image.parts = (const void *)(image.bytes + image.head->e_phoff);
	return 0;
}

static const Elf64_Phdr *part(uint32_t type)
{
	for (int i = 0; i < image.head->e_phnum; i++)
		if (image.parts[i].p_type == type)
			return &image.parts[i];
	return NULL;
}

static uint64_t dynamic(int64_t tag)
{
	const Elf64_Phdr *p = part(PT_DYNAMIC);

	assert_non_null(p);
	for (const Elf64_Dyn *d = (const void *)(image.bytes + p->p_offset); d->d_tag != DT_NULL; d++)
		if (d->d_tag == tag)
			return d->d_un.d_val;
	return 0;
}

static size_t occurrences(const void *what, size_t len)
{
	size_t n = 0;

	for (int i = 0; i < image.head->e_phnum; i++) {
		const Elf64_Phdr *p = &image.parts[i];
		const uint8_t *at = image.bytes + p->p_offset, *end = at + p->p_filesz;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		while ((at = memmem(at, (size_t)(end - at), what, len))) {
			n++;
			at += len;
		}
	}
	return n;
}

static bool names(const char *symbol)
{
	return memmem(image.bytes, image.size, symbol, strlen(symbol) + 1);
}

/* Loaded somewhere else each time. */
static void test_fault_25_position_independent(void **state)
{
	assert_int_equal(image.head->e_type, ET_DYN);
	assert_non_null(part(PT_INTERP));
	assert_true(dynamic(DT_FLAGS_1) & DF_1_PIE);
}

/* Addresses of functions are written once, before main(). */
static void test_fault_25_relocations_are_read_only(void **state)
{
	assert_non_null(part(PT_GNU_RELRO));
	assert_true(dynamic(DT_FLAGS_1) & DF_1_NOW);
	assert_int_equal(dynamic(DT_TEXTREL), 0);
}

static void test_fault_25_no_memory_is_both_written_and_run(void **state)
{
	const Elf64_Phdr *stack = part(PT_GNU_STACK);

	assert_true(stack && !(stack->p_flags & PF_X));
	for (int i = 0; i < image.head->e_phnum; i++)
		if (image.parts[i].p_type == PT_LOAD)
			assert_int_not_equal(image.parts[i].p_flags & (PF_W | PF_X), PF_W | PF_X);
}

static void test_fault_25_stack_is_guarded(void **state)
{
#if defined(__x86_64__)
	static const uint8_t probe[] = {0x48, 0x83, 0x0c, 0x24, 0x00}; /* orq $0, (%rsp): each page of a large frame */

	assert_true(occurrences(probe, sizeof(probe)) > 10);
#else /* arm64's guard is 64 KiB, as large as no frame here: the compiler's own note of its flags */
	assert_non_null(memmem(image.bytes, image.size, "-fstack-clash-protection", 24));
#endif
	assert_true(names("__stack_chk_fail"));
}

/*
 * Jumps go where a function begins, returns where they came from. The code can; whether it is enforced is the C
 * library's to say, whose part of the program Debian 12 builds without.
 */
static void test_fault_25_branches_are_guarded(void **state)
{
#if defined(__x86_64__)
	static const uint8_t landing[] = {0xf3, 0x0f, 0x1e, 0xfa}; /* endbr64 */
#elif defined(__aarch64__)
	static const uint8_t landing[] = {0x3f, 0x23, 0x03, 0xd5}; /* paciasp */
#endif

	assert_true(occurrences(landing, sizeof(landing)) > 500);
}

/* Copies whose room the compiler knows are checked. */
static void test_fault_25_copies_are_checked(void **state)
{
#ifdef _FORTIFY_SOURCE
	assert_true(names("__memcpy_chk") || names("__snprintf_chk"));
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_25_position_independent),
		cmocka_unit_test(test_fault_25_relocations_are_read_only),
		cmocka_unit_test(test_fault_25_no_memory_is_both_written_and_run),
		cmocka_unit_test(test_fault_25_stack_is_guarded),
		cmocka_unit_test(test_fault_25_branches_are_guarded),
		cmocka_unit_test(test_fault_25_copies_are_checked),
	};

	return cmocka_run_group_tests_name("hardening", tests, open_image, NULL);
}
