/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine q35: PCI Express, ICH9. The PIRQs A to H have the inputs 16 to 23
 * of the I/O APIC; slots 0 to 24 rotate over E to H, the chipset's own, from 25
 * on, have A to D.
 */
#include "links.asl"

DefinitionBlock ("", "DSDT", 2, "ANYKVM", "Q35", 1)
{
#include "common.asl"

	Scope (\_SB.PCI0) {
		Name (_HID, EisaId ("PNP0A08"))
		Name (_CID, EisaId ("PNP0A03"))

		/* The system may have hot-plug, PME and the rest for itself, but no LTR. */
		Method (_OSC, 4, Serialized) {
			CreateDWordField (Arg3, 0, CDW1)
			If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) {
				CreateDWordField (Arg3, 4, CDW2)
				CreateDWordField (Arg3, 8, CDW3)
				Local0 = CDW3 & 0x1D
				If (Arg1 != 1) { CDW1 |= 0x08 }
				If (CDW3 != Local0) { CDW1 |= 0x10 }
				CDW3 = Local0
			} Else {
				CDW1 |= 0x04
			}
			Return (Arg3)
		}

		Device (ISA) {
			Name (_ADR, 0x001F0000)
			OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
			Field (PIRQ, ByteAcc, NoLock, Preserve) {
				PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8,
				Offset (8),
				PRQE, 8, PRQF, 8, PRQG, 8, PRQH, 8
			}
#include "isa.asl"
		}

		Name (PRTP, Package () {
			ROTATE4 (0x0000, 0x0001, 0x0002, 0x0003, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			ROTATE4 (0x0004, 0x0005, 0x0006, 0x0007, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			ROTATE4 (0x0008, 0x0009, 0x000A, 0x000B, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			ROTATE4 (0x000C, 0x000D, 0x000E, 0x000F, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			ROTATE4 (0x0010, 0x0011, 0x0012, 0x0013, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			ROTATE4 (0x0014, 0x0015, 0x0016, 0x0017, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			PINS (0x0018, \_SB.LNKE, \_SB.LNKF, \_SB.LNKG, \_SB.LNKH),
			PINS (0x0019, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001A, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001B, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001C, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001D, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001E, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD),
			PINS (0x001F, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD)
		})
		Name (PRTA, Package () {
			ROTATE4 (0x0000, 0x0001, 0x0002, 0x0003, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			ROTATE4 (0x0004, 0x0005, 0x0006, 0x0007, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			ROTATE4 (0x0008, 0x0009, 0x000A, 0x000B, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			ROTATE4 (0x000C, 0x000D, 0x000E, 0x000F, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			ROTATE4 (0x0010, 0x0011, 0x0012, 0x0013, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			ROTATE4 (0x0014, 0x0015, 0x0016, 0x0017, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			PINS (0x0018, \_SB.GSIE, \_SB.GSIF, \_SB.GSIG, \_SB.GSIH),
			PINS (0x0019, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001A, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001B, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001C, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001D, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001E, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID),
			PINS (0x001F, \_SB.GSIA, \_SB.GSIB, \_SB.GSIC, \_SB.GSID)
		})
		Method (_PRT, 0, NotSerialized) {
			If (PICF == 0) { Return (PRTP) }
			Return (PRTA)
		}
	}

	Scope (\_SB) {
		/* The configuration space in memory belongs to nobody else. */
		Device (MRES) {
			Name (_HID, EisaId ("PNP0C02"))
			Name (RES, ResourceTemplate () {
				DWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0, 0xB0000000, 0xBFFFFFFF, 0, 0x10000000, ,, MECA)
			})
			CreateDWordField (RES, MECA._MIN, EMIN)
			CreateDWordField (RES, MECA._MAX, EMAX)
			CreateDWordField (RES, MECA._LEN, ELEN)
			Method (_STA, 0, NotSerialized) {
				If (ECML == 0) { Return (0) }
				Return (0x0F)
			}
			Method (_CRS, 0, Serialized) {
				EMIN = ECMB
				EMAX = ECMB + ECML - 1
				ELEN = ECML
				Return (RES)
			}
		}

		LINK (LNKA, 0, \_SB.PCI0.ISA.PRQA)
		LINK (LNKB, 1, \_SB.PCI0.ISA.PRQB)
		LINK (LNKC, 2, \_SB.PCI0.ISA.PRQC)
		LINK (LNKD, 3, \_SB.PCI0.ISA.PRQD)
		LINK (LNKE, 4, \_SB.PCI0.ISA.PRQE)
		LINK (LNKF, 5, \_SB.PCI0.ISA.PRQF)
		LINK (LNKG, 6, \_SB.PCI0.ISA.PRQG)
		LINK (LNKH, 7, \_SB.PCI0.ISA.PRQH)

		GSILINK (GSIA, 0x10, 16)
		GSILINK (GSIB, 0x11, 17)
		GSILINK (GSIC, 0x12, 18)
		GSILINK (GSID, 0x13, 19)
		GSILINK (GSIE, 0x14, 20)
		GSILINK (GSIF, 0x15, 21)
		GSILINK (GSIG, 0x16, 22)
		GSILINK (GSIH, 0x17, 23)
	}
}
