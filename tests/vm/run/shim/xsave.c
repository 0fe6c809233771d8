/*
 * Preloaded into user-mode-linux where the processor's XSAVE area is large (AMX).
 *
 * User-mode-linux before 6.13 saves and restores a process's registers in a buffer of
 * fixed size. Reading so much of the area works; writing it back, PTRACE_SETREGSET
 * with NT_X86_XSTATE, is refused with EFAULT where the area is larger, and the guest
 * dies of it ("ptrace set fp regs failed"). Here the whole area is read first, the
 * part that was given is put over its beginning, and the whole is written.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NT_X86_XSTATE 0x202

long ptrace(enum __ptrace_request request, ...)
{
	/* The kernel has one thread, and the area at most some 11 KiB. */
	static char area[64 << 10] __attribute__((aligned(64)));
	va_list ap;

	va_start(ap, request);
	pid_t pid = va_arg(ap, pid_t);
	void *addr = va_arg(ap, void *);
	void *data = va_arg(ap, void *);
	va_end(ap);

	if ((int)request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE) {
		struct iovec *given = data;
		struct iovec whole = { area, sizeof area };

		if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, addr, &whole) == 0 &&
		    whole.iov_len > given->iov_len) {
			memcpy(area, given->iov_base, given->iov_len);
			data = &whole;
			return syscall(SYS_ptrace, request, pid, addr, data);
		}
	}

	/* As the C library does: what is peeked comes as the result, not in data. */
	if ((int)request >= PTRACE_PEEKTEXT && (int)request <= PTRACE_PEEKUSER) {
		long word;
		long result = syscall(SYS_ptrace, request, pid, addr, &word);

		return result < 0 ? result : word;
	}
	return syscall(SYS_ptrace, request, pid, addr, data);
}
