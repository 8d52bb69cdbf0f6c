/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The DSDTs as iasl made them of pc.asl and q35.asl. */
#include "dsdt.h"
#include "vmm/boot/dsdt/dsdt_pc.hex"
#include "vmm/boot/dsdt/dsdt_q35.hex"

const u8 *const dsdt_pc = dsdt_pc_aml_code, *const dsdt_q35 = dsdt_q35_aml_code;
const size_t dsdt_pc_size = sizeof(dsdt_pc_aml_code), dsdt_q35_size = sizeof(dsdt_q35_aml_code);
