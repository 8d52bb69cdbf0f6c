/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The EEPROM of the network card (5.6 in the manual; a Microwire device of 64
 * words, read by its wires or by a register) and the registers of its
 * transceiver (Marvell 88E1011; IEEE 802.3, clause 22), whose link is up.
 */
#include "e1000.h"

#define EECD_CLOCK (1 << 0)
#define EECD_SELECT (1 << 1)
#define EECD_IN (1 << 2)		/* to the EEPROM */
#define EECD_OUT (1 << 3)
#define EECD_REQUEST (1 << 6)
#define EECD_GRANT (1 << 7)
#define EECD_PRESENT (1 << 8)
#define EECD_KEPT 0x77			/* the driver's bits */

#define WIRE_COMMAND_BITS 9		/* start, two of the operation, six of the address */
#define WIRE_READ 6
#define EERD_START (1 << 0)
#define EERD_DONE (1 << 4)

#define CHECKSUM 0xbaba

#define MDIC_WRITE 1
#define MDIC_READ 2
#define MDIC_READY (1u << 28)
#define MDIC_INTERRUPT (1u << 29)
#define MDIC_ERROR (1u << 30)
#define PHY_ADDRESS 1

void e1000_eeprom_fill(struct e1000 *e, const u8 mac[6])
{
	u16 sum = CHECKSUM;
	unsigned int i;

	for (i = 0; i < 3; i++)
		e->eeprom[i] = (u16)(mac[2 * i] | mac[2 * i + 1] << 8);
	e->eeprom[0x03] = 0x0b08;
	e->eeprom[0x0a] = 0x4408;
	e->eeprom[0x0b] = PCI_SUBSYSTEM_ANY;
	e->eeprom[0x0c] = PCI_VENDOR_REDHAT;
	e->eeprom[0x0d] = 0x100e;
	e->eeprom[0x0e] = PCI_VENDOR_INTEL;
	e->eeprom[0x0f] = 0xb684;
	e->eeprom[0x2f] = 0x0602;
	for (i = 0; i < E1000_EEPROM_WORDS - 1; i++)
		sum = (u16)(sum - e->eeprom[i]);
	e->eeprom[E1000_EEPROM_WORDS - 1] = sum;
}

/* After a read's command a zero comes out, then word after word, the highest bit first. */
static bool wire_out(const struct e1000 *e)
{
	unsigned int n, word;

	if (e->wire_bits <= WIRE_COMMAND_BITS)
		return e->wire_bits < WIRE_COMMAND_BITS;
	if (e->wire_in >> 6 != WIRE_READ)
		return true;
	n = e->wire_bits - WIRE_COMMAND_BITS - 1;
	word = (e->wire_address + n / 16) % E1000_EEPROM_WORDS;
	return e->eeprom[word] >> (15 - n % 16) & 1;
}

u32 e1000_eecd_read(const struct e1000 *e)
{
	return e->eecd | EECD_PRESENT | (e->eecd & EECD_REQUEST ? EECD_GRANT : 0) |
		(wire_out(e) ? EECD_OUT : 0);
}

void e1000_eecd_write(struct e1000 *e, u32 value)
{
	const bool rise = value & ~e->eecd & EECD_CLOCK;

	if (!(value & EECD_SELECT)) {
		e->wire_bits = 0;
		e->wire_in = 0;
	} else if (rise && (e->wire_bits || value & EECD_IN)) {
		/* what comes before the start bit is none */
		if (e->wire_bits < WIRE_COMMAND_BITS)
			e->wire_in = e->wire_in << 1 | !!(value & EECD_IN);
		e->wire_bits++;
		e->wire_address = e->wire_in & (E1000_EEPROM_WORDS - 1);
	}
	e->eecd = value & EECD_KEPT;
}

void e1000_eerd_write(struct e1000 *e, u32 value)
{
	const unsigned int word = value >> 8 & 0xff;

	if (!(value & EERD_START))
		return;
	*e1000_reg(e, R_EERD) = (value & 0xff00) | EERD_DONE |
		(word < E1000_EEPROM_WORDS ? (u32)e->eeprom[word] << 16 : 0);
}

/* --- the transceiver --------------------------------------------------------------- */

void e1000_phy_reset(struct e1000 *e)
{
	static const struct {
		u8 at;
		u16 value;
	} first[] = {
		{ 0, 0x1140 },		/* control: full duplex, 1000 Mbit/s, negotiates */
		{ 1, 0x796d },		/* status: negotiated, the link is up */
		{ 2, 0x0141 }, { 3, 0x0c20 },
		{ 4, 0x0de1 }, { 5, 0x4de1 },	/* what either side can */
		{ 6, 0x0001 },
		{ 9, 0x0e00 }, { 10, 0x3c00 },
		{ 15, 0x3000 },
		{ 16, 0x0360 },
		{ 17, 0xac08 },		/* 1000 Mbit/s, full duplex, resolved, the link is up */
		{ 20, 0x0d60 },
	};
	unsigned int i;

	for (i = 0; i < E1000_PHY_REGISTERS; i++)
		e->phy[i] = 0;
	for (i = 0; i < ARRAY_SIZE(first); i++)
		e->phy[first[i].at] = first[i].value;
}

static void phy_write(struct e1000 *e, unsigned int at, u16 value)
{
	if (at == 0 && value & 0x8000) {
		e1000_phy_reset(e);
		return;
	}
	if (at == 0 && value & 0x0200)		/* negotiate again: it is done at once */
		e1000_interrupt(e, ICR_LINK);
	if (at == 0)
		e->phy[0] = value & 0x7d3f;
	else if (at == 4 || at == 9 || at == 16 || at == 18 || at == 20 || at >= 29)
		e->phy[at] = value;
}

void e1000_mdic_write(struct e1000 *e, u32 value)
{
	const unsigned int at = value >> 16 & 31, op = value >> 26 & 3;
	u32 result = (value & 0x1fff0000) | MDIC_READY;

	if ((value >> 21 & 31) != PHY_ADDRESS) {
		result |= MDIC_ERROR;
	} else if (op == MDIC_WRITE) {
		phy_write(e, at, (u16)value);
		result |= value & 0xffff;
	} else if (op == MDIC_READ) {
		result |= e->phy[at];
	}
	*e1000_reg(e, R_MDIC) = result;
	if (value & MDIC_INTERRUPT)
		e1000_interrupt(e, ICR_MDI);
}
