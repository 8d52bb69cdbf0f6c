/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network card Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet
 * Controllers, Software Developer's Manual): what its files share. e1000.c has
 * the registers, e1000_rx.c and e1000_tx.c the frames, e1000_eeprom.c the
 * memory with its address, and the transceiver.
 *
 * Locks, in the order in which they nest: tx_lock, which makes one thread send
 * at a time, the network's, and lock, which guards the registers.
 */
#ifndef VMM_DEVICES_NET_E1000_H
#define VMM_DEVICES_NET_E1000_H

#include "../../backends/net/net.h"
#include "../device.h"
#include "../pci/pci.h"

#define E1000_REGISTERS (0x6000 / 4)
#define E1000_EEPROM_WORDS 64
#define E1000_PHY_REGISTERS 32
#define E1000_DESCRIPTOR 16u

/* Registers, by their offset */
enum e1000_register {
	R_CTRL = 0x0000, R_STATUS = 0x0008, R_EECD = 0x0010, R_EERD = 0x0014, R_MDIC = 0x0020,
	R_VET = 0x0038, R_ICR = 0x00c0, R_ITR = 0x00c4, R_ICS = 0x00c8, R_IMS = 0x00d0,
	R_IMC = 0x00d8, R_RCTL = 0x0100, R_TCTL = 0x0400, R_PBA = 0x1000,
	R_RDBAL = 0x2800, R_RDBAH = 0x2804, R_RDLEN = 0x2808, R_RDH = 0x2810, R_RDT = 0x2818,
	R_TDBAL = 0x3800, R_TDBAH = 0x3804, R_TDLEN = 0x3808, R_TDH = 0x3810, R_TDT = 0x3818,
	R_STATISTICS = 0x4000, R_STATISTICS_END = 0x4128, R_GPRC = 0x4074, R_GPTC = 0x4080,
	R_TPR = 0x40d0, R_TPT = 0x40d4,
	R_MTA = 0x5200, R_RAL = 0x5400, R_RAH = 0x5404, R_VFTA = 0x5600,
};

#define CTRL_RESET (1u << 26)
#define CTRL_VLAN (1u << 30)
#define CTRL_PHY_RESET (1u << 31)
#define ICR_TX_DONE (1u << 0)
#define ICR_TX_EMPTY (1u << 1)
#define ICR_LINK (1u << 2)
#define ICR_RX_LOW (1u << 4)
#define ICR_RX (1u << 7)
#define ICR_MDI (1u << 9)
#define RCTL_EN (1u << 1)
#define RCTL_UNICAST (1u << 3)
#define RCTL_MULTICAST (1u << 4)
#define RCTL_LONG (1u << 5)
#define RCTL_BROADCAST (1u << 15)
#define RCTL_VLAN_FILTER (1u << 18)
#define RCTL_LARGE (1u << 25)
#define RCTL_STRIP_CRC (1u << 26)
#define TCTL_EN (1u << 1)
#define RAH_VALID (1u << 31)

/* What a context descriptor says of the frames that follow it. */
struct e1000_context {
	u8 ipcss, ipcso, tucss, tucso;
	u16 ipcse;
	u8 command, header;
	u16 mss;
};

/* A frame that is put together of descriptors. */
struct e1000_frame {
	size_t len;
	bool too_long, segment, ip_sum, sum, vlan;
	u16 tag;
	struct e1000_context context;
	u8 bytes[NET_FRAME_MAX];
};

struct e1000 {
	struct device dev;		/* first */
	struct pci_device pci;
	struct board *b;
	struct net *net;
	struct timer *later;		/* goes on with what is sent */
	pthread_mutex_t tx_lock;
	pthread_mutex_t lock;		/* of all up to the frame */
	u32 reg[E1000_REGISTERS];
	u32 io_address;			/* which register the port gives */
	u16 eeprom[E1000_EEPROM_WORDS], phy[E1000_PHY_REGISTERS];
	u32 eecd;
	u32 wire_in;			/* bits that came from the driver since it began */
	unsigned int wire_bits;
	u8 wire_address;
	bool was_reset;			/* what was sent of a frame before is forgotten */

	struct e1000_frame frame;	/* under tx_lock, as is all below */
	struct e1000_context context, tso;
	u8 segment[NET_FRAME_MAX];
};

static inline u32 *e1000_reg(struct e1000 *e, unsigned int offset)
{
	return &e->reg[offset / 4];
}

/* --- e1000.c --------------------------------------------------------------------- */

/* Raises causes of interrupts; under the lock. */
void e1000_interrupt(struct e1000 *e, u32 causes);

/* --- e1000_eeprom.c: under the lock ------------------------------------------------ */

void e1000_eeprom_fill(struct e1000 *e, const u8 mac[6]);
u32 e1000_eecd_read(const struct e1000 *e);
void e1000_eecd_write(struct e1000 *e, u32 value);
void e1000_eerd_write(struct e1000 *e, u32 value);
void e1000_phy_reset(struct e1000 *e);
void e1000_mdic_write(struct e1000 *e, u32 value);

/* --- e1000_rx.c: under the network's lock ------------------------------------------- */

bool e1000_receive(void *front, const struct net_header *h, const u8 *frame, size_t len);

/* --- e1000_tx.c: without a lock -------------------------------------------------------- */

/* Sends what the driver has put into the ring. */
void e1000_transmit(struct e1000 *e);
/* Sends a whole frame; under tx_lock. */
void e1000_send(struct e1000 *e, struct e1000_frame *f);

#endif
