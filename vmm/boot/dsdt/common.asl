/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the machines with PCI have in common: the interrupt mode, soft-off, the host bridge's windows. */

	Name (\PICF, 0)
	Method (\_PIC, 1, NotSerialized) { PICF = Arg0 }

	Name (\_S5, Package () { 0, 0, 0, 0 })

	Scope (\_SB) {
		/* Values of the machine that are put in when the table is made: configuration
		 * space in memory (base, length), windows for BARs (begin, end) */
		Name (ECMB, 0x1122334455667701)
		Name (ECML, 0x1122334455667702)
		Name (PM1B, 0x1122334455667703)
		Name (PM1E, 0x1122334455667704)
		Name (PM2B, 0x1122334455667705)
		Name (PM2E, 0x1122334455667706)
		Name (PM6B, 0x1122334455667707)
		Name (PM6E, 0x1122334455667708)

		Device (PCI0) {
			Name (_UID, 0)
			Name (_BBN, 0)
			Name (_ADR, 0)

			Name (RES, ResourceTemplate () {
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0xFF, 0, 0x100)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0, 0x0CF7, 0, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0D00, 0xFFFF, 0, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
					ReadWrite, 0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000, ,, M32A)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0, 0x80000000, 0xAFFFFFFF, 0, 0x30000000, ,, M32B)
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
					ReadWrite, 0, 0x8000000000, 0x8FFFFFFFFF, 0, 0x1000000000, ,, M64A)
			})
			CreateDWordField (RES, M32A._MIN, MINA)
			CreateDWordField (RES, M32A._MAX, MAXA)
			CreateDWordField (RES, M32A._LEN, LENA)
			CreateDWordField (RES, M32B._MIN, MINB)
			CreateDWordField (RES, M32B._MAX, MAXB)
			CreateDWordField (RES, M32B._LEN, LENB)
			CreateQWordField (RES, M64A._MIN, MIN6)
			CreateQWordField (RES, M64A._MAX, MAX6)
			CreateQWordField (RES, M64A._LEN, LEN6)

			Method (_CRS, 0, Serialized) {
				MINA = PM1B
				MAXA = PM1E
				LENA = PM1E - PM1B + 1
				MINB = PM2B
				MAXB = PM2E
				LENB = PM2E - PM2B + 1
				MIN6 = PM6B
				MAX6 = PM6E
				LEN6 = PM6E - PM6B + 1
				Return (RES)
			}
		}
	}
