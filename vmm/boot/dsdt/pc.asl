/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine pc: i440FX, PIIX3. The PIRQs A to D share ISA interrupts, with
 * the PICs and with the I/O APIC.
 */
#include "links.asl"

DefinitionBlock ("", "DSDT", 2, "ANYKVM", "PC", 1)
{
#include "common.asl"

	Scope (\_SB.PCI0) {
		Name (_HID, EisaId ("PNP0A03"))

		Device (ISA) {
			Name (_ADR, 0x00010000)
			OperationRegion (PIRQ, PCI_Config, 0x60, 0x04)
			Field (PIRQ, ByteAcc, NoLock, Preserve) {
				PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8
			}
#include "isa.asl"
		}

		/* slot 1 begins with A */
		Name (_PRT, Package () {
			ROTATE4 (0x0001, 0x0002, 0x0003, 0x0004, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x0005, 0x0006, 0x0007, 0x0008, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x0009, 0x000A, 0x000B, 0x000C, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x000D, 0x000E, 0x000F, 0x0010, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x0011, 0x0012, 0x0013, 0x0014, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x0015, 0x0016, 0x0017, 0x0018, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			ROTATE4 (0x0019, 0x001A, 0x001B, 0x001C, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001D, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001E, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD, \_SB.LNKA),
			PINS (0x001F, \_SB.LNKC, \_SB.LNKD, \_SB.LNKA, \_SB.LNKB)
		})
	}

	Scope (\_SB) {
		LINK (LNKA, 0, \_SB.PCI0.ISA.PRQA)
		LINK (LNKB, 1, \_SB.PCI0.ISA.PRQB)
		LINK (LNKC, 2, \_SB.PCI0.ISA.PRQC)
		LINK (LNKD, 3, \_SB.PCI0.ISA.PRQD)
	}
}
