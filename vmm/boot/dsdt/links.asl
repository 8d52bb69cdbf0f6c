/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupt links. A LINK stands for a PIRQ that a register of the chipset
 * routes to an ISA interrupt, for systems that use the PICs; a GSILINK for a
 * PIRQ that has its own input of the I/O APIC.
 */

#define LINK(NAME, ID, REG) \
	Device (NAME) { \
		Name (_HID, EisaId ("PNP0C0F")) \
		Name (_UID, ID) \
		Name (_PRS, ResourceTemplate () { \
			Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } \
		}) \
		Method (_STA, 0, Serialized) { \
			If (REG & 0x80) { Return (0x09) } \
			Return (0x0B) \
		} \
		Method (_DIS, 0, Serialized) { REG |= 0x80 } \
		Name (BUF, ResourceTemplate () { \
			Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 } \
		}) \
		CreateDWordField (BUF, 0x05, IRQN) \
		Method (_CRS, 0, Serialized) { \
			If (REG & 0x80) { IRQN = 0 } Else { IRQN = REG & 0x0F } \
			Return (BUF) \
		} \
		Method (_SRS, 1, Serialized) { \
			CreateDWordField (Arg0, 0x05, NEWN) \
			REG = NEWN & 0x0F \
		} \
	}

#define GSILINK(NAME, ID, GSI) \
	Device (NAME) { \
		Name (_HID, EisaId ("PNP0C0F")) \
		Name (_UID, ID) \
		Name (_PRS, ResourceTemplate () { \
			Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { GSI } \
		}) \
		Name (_CRS, ResourceTemplate () { \
			Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { GSI } \
		}) \
		Method (_SRS, 1, NotSerialized) {} \
	}

/* The four pins of a slot. */
#define PINS(SLOT, A, B, C, D) \
	Package () { SLOT##FFFF, 0, A, 0 }, \
	Package () { SLOT##FFFF, 1, B, 0 }, \
	Package () { SLOT##FFFF, 2, C, 0 }, \
	Package () { SLOT##FFFF, 3, D, 0 }

/* Slots 0 to 31, by the four rotations of the links A to D. */
#define ROTATE4(S0, S1, S2, S3, A, B, C, D) \
	PINS (S0, A, B, C, D), \
	PINS (S1, B, C, D, A), \
	PINS (S2, C, D, A, B), \
	PINS (S3, D, A, B, C)
