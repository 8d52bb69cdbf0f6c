/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices behind the bridge to ISA that every machine with PCI has. */

	Device (COM1) {
		Name (_HID, EisaId ("PNP0501"))
		Name (_UID, 1)
		Name (_CRS, ResourceTemplate () {
			IO (Decode16, 0x03F8, 0x03F8, 0, 8)
			IRQNoFlags () { 4 }
		})
	}
	Device (RTC) {
		Name (_HID, EisaId ("PNP0B00"))
		Name (_CRS, ResourceTemplate () {
			IO (Decode16, 0x0070, 0x0070, 0x10, 0x02)
			IRQNoFlags () { 8 }
		})
	}
	Device (KBD) {
		Name (_HID, EisaId ("PNP0303"))
		Name (_CRS, ResourceTemplate () {
			IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
			IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
			IRQNoFlags () { 1 }
		})
	}
	Device (MOU) {
		Name (_HID, EisaId ("PNP0F13"))
		Name (_CRS, ResourceTemplate () {
			IRQNoFlags () { 12 }
		})
	}
