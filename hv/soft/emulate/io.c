/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Port I/O: IN, OUT, INS, OUTS, with the I/O permission bitmap.
 *
 * A port of an in-kernel device is served at once. Others go to user space
 * with KVM_EXIT_IO and the data in the second page of the vCPU's mapping;
 * repeated string forms go in batches of up to a page. OUTS are complete when
 * user space sees them; IN and INS store the answer at the next KVM_RUN
 * (v->complete), and RIP stays at IN and OUT until then, as with KVM. A batch
 * moves rCX and rSI or rDI as a whole, so that the instruction goes on where it
 * stopped.
 *
 * Intel SDM vol. 1, chapter 19 (I/O, the permission bitmap); KVM API, 5
 * (KVM_EXIT_IO).
 */
#include <errno.h>

#include "emulate.h"

#define PIO_DATA_OFFSET 4096

/* #GP unless the present privilege may use size ports at port. */
static enum emu io_allowed(struct vcpu *v, u16 port, u32 size)
{
	const struct seg *tr = &v->seg[SEG_TR];
	u16 base, bits;

	if (!vcpu_protected(v) || (!vcpu_v86(v) && v->cpl <= emu_iopl(v)))
		return EMU_NEXT;
	if (!(tr->attr & SEG_P) || (SEG_TYPE(tr->attr) & 9) != 9 || tr->limit < 103)
		return emu_gp0(v);
	TRY(emu_tss_read(v, 102, &base, 2, 0));
	/* Two bytes are always looked at, so that unaligned ports are covered. */
	if ((u32)base + port / 8 + 1 > tr->limit)
		return emu_gp0(v);
	TRY(emu_tss_read(v, (u32)base + port / 8, &bits, 2, 0));
	if (bits >> (port & 7) & ((1u << size) - 1))
		return emu_gp0(v);
	return EMU_NEXT;
}

static u32 io_size(const struct insn *in)
{
	return in->opcode & 1 ? in->opsize == 2 ? 2 : 4 : 1;
}

/* The port of IN and OUT: an immediate byte, or DX. */
static u16 io_port(const struct vcpu *v, const struct insn *in)
{
	return in->opcode & 8 ? (u16)v->gpr[REG_RDX] : (u8)in->imm;
}

/* Fills the exit to user space; the data of OUT is in v->pio_data already. */
static void io_exit(struct vcpu *v, u16 port, u32 size, bool is_in, u32 count)
{
	struct kvm_run *run = v->run;

	v->pio.port = port;
	v->pio.size = (u8)size;
	v->pio.in = is_in;
	v->pio.count = count;
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = is_in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = (u8)size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = PIO_DATA_OFFSET;
}

static void set_accumulator(struct vcpu *v, const void *data, u32 size)
{
	u64 val = 0;

	host_memcpy(&val, data, size);
	reg_write(v, REG_RAX, val, (u8)size);
}

static int complete_in(struct vcpu *v)
{
	if (vcpu_exit_stands(v))
		set_accumulator(v, v->pio_data, v->pio.size);
	return vcpu_skip(v);
}

EMU_HANDLER(emu_in)
{
	u32 size = io_size(in);
	u16 port = io_port(v, in);
	u32 val = 0;

	TRY(io_allowed(v, port, size));
	if (!bus_pio(v->vm, v, port, size, &val, false)) {
		set_accumulator(v, &val, size);
		return EMU_NEXT;
	}
	host_memset(v->pio_data, 0, size);
	io_exit(v, port, size, true, 1);
	vcpu_leave_to_user(v, complete_in, emu_next_rip(v, in));
	return EMU_EXIT;
}

EMU_HANDLER(emu_out)
{
	u32 size = io_size(in), val = (u32)v->gpr[REG_RAX];
	u16 port = io_port(v, in);

	TRY(io_allowed(v, port, size));
	if (!bus_pio(v->vm, v, port, size, &val, true))
		return EMU_NEXT;
	host_memcpy(v->pio_data, &val, size);
	io_exit(v, port, size, false, 1);
	/* Old user space resets the CPU by this port and sets registers before it goes on. */
	if (port == 0x7e && !(v->vm->disabled_quirks & KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		v->rip = emu_next_rip(v, in);
		return EMU_EXIT_NEXT;
	}
	vcpu_leave_to_user(v, vcpu_skip, emu_next_rip(v, in));
	return EMU_EXIT;
}

/* --- string forms -------------------------------------------------------------- */

static inline bool repeated(const struct insn *in)
{
	return in->flags & (INSN_REP | INSN_REPNE);
}

/* How many elements are left; 1 without a prefix. */
static u64 elements_left(const struct vcpu *v, const struct insn *in)
{
	return repeated(in) ? reg_read(v, REG_RCX, in->addrsize) : 1;
}

/* Counts n elements of size as done in rCX and the index register. */
static void advance(struct vcpu *v, u8 index, u8 addrsize, bool rep, u32 n, u32 size)
{
	u64 step = v->sysflags & X86_FL_DF ? 0 - (u64)n * size : (u64)n * size;

	emu_set_reg(v, index, v->gpr[index] + step, addrsize);
	if (rep)
		emu_set_reg(v, REG_RCX, v->gpr[REG_RCX] - n, addrsize);
}

/* The elements at offset upwards that lie in one page and in the address size. */
static u32 batch_limit(const struct vcpu *v, const struct insn *in, u64 linear, u64 offset,
		       u32 size, u64 left)
{
	u64 n = (PAGE_SIZE - (linear & ~PAGE_MASK)) / size;
	u64 wrap = (emu_mask(in->addrsize) - offset) / size;

	if ((v->sysflags & (X86_FL_DF | X86_FL_TF)) || n < 1 || wrap < 1)
		return 1;
	n = MIN(n, wrap);
	return (u32)MIN(n, left);
}

/* After elements were done: the next instruction, or this one again. */
static enum emu continue_string(struct vcpu *v, const struct insn *in, bool exit)
{
	if (repeated(in) && elements_left(v, in))
		return exit ? EMU_EXIT : EMU_JUMP;
	v->rip = emu_next_rip(v, in);
	return exit ? EMU_EXIT_NEXT : EMU_JUMP;
}

/* The checked linear address of the element at the index register. */
static enum emu element(struct vcpu *v, const struct insn *in, u8 seg, u8 index, u32 size,
			u32 access, u64 *linear)
{
	TRY(seg_linear(v, seg, reg_read(v, index, in->addrsize), size, access, linear));
	return emu_check_align(v, *linear, size);
}

/* Whether the segment lets a whole batch through; raises nothing. */
static bool seg_covers(const struct vcpu *v, u8 seg, u64 offset, u64 bytes)
{
	const struct seg *s = &v->seg[seg];

	if (vcpu_64bit(v))
		return true;	/* the first element is canonical and so is its page */
	if ((s->attr & (SEG_S | SEG_CODE | SEG_E)) == (SEG_S | SEG_E))
		return false;
	return offset + bytes - 1 <= s->limit;
}

EMU_HANDLER(emu_outs)
{
	u64 left = elements_left(v, in), linear, offset;
	u32 n, size = io_size(in);
	u16 port = (u16)v->gpr[REG_RDX];
	bool rep = repeated(in);
	u8 *data = v->pio_data;

	TRY(io_allowed(v, port, size));
	if (!left)
		return EMU_NEXT;
	offset = reg_read(v, REG_RSI, in->addrsize);
	TRY(element(v, in, in->seg, REG_RSI, size, MMU_READ, &linear));
	TRY(mem_read(v, linear, data, size, MMU_READ));
	if (!bus_pio(v->vm, v, port, size, data, true)) {
		advance(v, REG_RSI, in->addrsize, rep, 1, size);
		return continue_string(v, in, false);
	}
	n = batch_limit(v, in, linear, offset, size, left);
	if (!seg_covers(v, in->seg, offset, (u64)n * size))
		n = 1;
	if (n > 1) {
		const u8 *p = mem_ptr(v, linear, n * size, MMU_READ);

		if (!p)
			n = 1;
		else if (host_guest_move(data, p, n * size))
			return EMU_GONE;
	}
	advance(v, REG_RSI, in->addrsize, rep, n, size);
	io_exit(v, port, size, false, n);
	return continue_string(v, in, true);
}

/* User space has answered a batch of INS. */
static int complete_ins(struct vcpu *v)
{
	const u8 *data = v->pio_data;
	u32 size = v->pio.size, done;
	enum emu e;
	u64 linear;

	/* Registers that were set meanwhile win. */
	if (v->rip != v->pio.rip)
		return 0;
	for (done = 0; done < v->pio.count; done++) {
		if (v->pio.rep && !reg_read(v, REG_RCX, v->pio.addrsize))
			break;	/* user space shortened the count */
		u64 offset = reg_read(v, REG_RDI, v->pio.addrsize);

		if (seg_linear(v, SEG_ES, offset, size, MMU_WRITE, &linear) != EMU_NEXT)
			return 0;
		e = mem_write(v, linear, data + done * size, size, MMU_WRITE);
		if (e != EMU_NEXT)
			return e == EMU_GONE ? -EFAULT : 0;
		advance(v, REG_RDI, v->pio.addrsize, v->pio.rep, 1, size);
	}
	if (!v->pio.rep || !reg_read(v, REG_RCX, v->pio.addrsize)) {
		v->rip += v->pio.len;
		if (!vcpu_64bit(v))
			v->rip = (u32)v->rip;
	}
	return 0;
}

EMU_HANDLER(emu_ins)
{
	u64 left = elements_left(v, in), linear, offset;
	u32 n, size = io_size(in);
	u16 port = (u16)v->gpr[REG_RDX];
	bool rep = repeated(in);
	u32 val = 0;

	TRY(io_allowed(v, port, size));
	if (!left)
		return EMU_NEXT;
	offset = reg_read(v, REG_RDI, in->addrsize);
	TRY(element(v, in, SEG_ES, REG_RDI, size, MMU_WRITE, &linear));
	TRY(mem_probe_write(v, linear, size, MMU_WRITE));
	if (!bus_pio(v->vm, v, port, size, &val, false)) {
		TRY(mem_write(v, linear, &val, size, MMU_WRITE));
		advance(v, REG_RDI, in->addrsize, rep, 1, size);
		return continue_string(v, in, false);
	}
	n = batch_limit(v, in, linear, offset, size, left);
	if (n > 1 && (!seg_covers(v, SEG_ES, offset, (u64)n * size) ||
		      !mem_ptr(v, linear, n * size, MMU_READ | MMU_WRITE)))
		n = 1;
	host_memset(v->pio_data, 0, n * size);
	v->pio.rep = rep;
	v->pio.addrsize = in->addrsize;
	v->pio.len = in->len;
	v->pio.rip = v->rip;
	io_exit(v, port, size, true, n);
	v->complete = complete_ins;
	return EMU_EXIT;
}
