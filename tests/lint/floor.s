// SPDX-License-Identifier: Apache-2.0
// Instructions by their bytes, for the check of the kernel floor in tests/lint/run: it must name each function here that
// begins with newer_, and no other. opcode, registers (source high), offset (2), immediate (4).
.text
older_atomics:
	.byte 0xc3, 0x21, 0, 0, 0x00, 0, 0, 0 // add
	.byte 0xdb, 0x21, 0, 0, 0x01, 0, 0, 0 // add, fetching
	.byte 0xdb, 0x21, 0, 0, 0x40, 0, 0, 0 // or
	.byte 0xdb, 0x21, 0, 0, 0x41, 0, 0, 0
	.byte 0xdb, 0x21, 0, 0, 0x50, 0, 0, 0 // and
	.byte 0xdb, 0x21, 0, 0, 0x51, 0, 0, 0
	.byte 0xdb, 0x21, 0, 0, 0xa0, 0, 0, 0 // xor
	.byte 0xdb, 0x21, 0, 0, 0xa1, 0, 0, 0
	.byte 0xc3, 0x21, 0, 0, 0xe1, 0, 0, 0 // exchange
	.byte 0xdb, 0x21, 8, 0, 0xf1, 0, 0, 0 // compare and exchange, with an offset as an address may have
older_arithmetic:
	.byte 0x3f, 0x21, 0, 0, 0, 0, 0, 0    // division without sign
	.byte 0x97, 0x01, 0, 0, 7, 0, 0, 0    // remainder
	.byte 0x87, 0x01, 0, 0, 0, 0, 0, 0    // negation
	.byte 0xbf, 0x21, 0, 0, 0, 0, 0, 0    // move
	.byte 0xbc, 0x21, 0, 0, 0, 0, 0, 0
	.byte 0xd4, 0x01, 0, 0, 16, 0, 0, 0   // bytes to little endian
	.byte 0xdc, 0x01, 0, 0, 64, 0, 0, 0   // bytes to big endian
older_others:
	.byte 0x18, 0x01, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0, 0, 0 // 64 bits at once, however they look
	.byte 0x79, 0x21, 8, 0, 0, 0, 0, 0    // load
	.byte 0x73, 0x21, 8, 0, 0, 0, 0, 0    // store
	.byte 0x5e, 0x21, 1, 0, 0, 0, 0, 0    // jump that compares 32 bits
	.byte 0x85, 0x00, 0, 0, 175, 0, 0, 0  // the last helper of 5.15
	.byte 0x85, 0x10, 0, 0, 0, 1, 0, 0    // a function of its own, 256 away
	.byte 0x05, 0x00, 0, 0, 0, 0, 0, 0
	.byte 0x95, 0x00, 0, 0, 0, 0, 0, 0
newer_helper:
	.byte 0x85, 0x00, 0, 0, 176, 0, 0, 0
newer_helper_by_second_byte:
	.byte 0x85, 0x00, 0, 0, 1, 1, 0, 0
newer_kernel_function:
	.byte 0x85, 0x20, 0, 0, 1, 0, 0, 0
newer_load_acquire:
	.byte 0xdb, 0x21, 0, 0, 0x00, 1, 0, 0
newer_load_acquire_32:
	.byte 0xc3, 0x21, 0, 0, 0x00, 1, 0, 0
newer_load_acquire_16:
	.byte 0xcb, 0x21, 0, 0, 0x00, 1, 0, 0
newer_load_acquire_8:
	.byte 0xd3, 0x21, 0, 0, 0x00, 1, 0, 0
newer_store_release:
	.byte 0xdb, 0x21, 0, 0, 0x10, 1, 0, 0
newer_store_release_32:
	.byte 0xc3, 0x21, 0, 0, 0x10, 1, 0, 0
newer_load_with_sign_32:
	.byte 0x81, 0x21, 0, 0, 0, 0, 0, 0
newer_load_with_sign_16:
	.byte 0x89, 0x21, 0, 0, 0, 0, 0, 0
newer_load_with_sign_8:
	.byte 0x91, 0x21, 0, 0, 0, 0, 0, 0
newer_move_with_sign:
	.byte 0xbf, 0x21, 8, 0, 0, 0, 0, 0
newer_move_with_sign_32:
	.byte 0xbc, 0x21, 16, 0, 0, 0, 0, 0
newer_move_between_address_spaces:
	.byte 0xbf, 0x21, 1, 0, 1, 0, 0, 0
newer_division_with_sign:
	.byte 0x3f, 0x21, 1, 0, 0, 0, 0, 0
newer_division_with_sign_32:
	.byte 0x34, 0x01, 1, 0, 7, 0, 0, 0
newer_remainder_with_sign:
	.byte 0x9f, 0x21, 1, 0, 0, 0, 0, 0
newer_remainder_with_sign_32:
	.byte 0x9c, 0x21, 1, 0, 0, 0, 0, 0
newer_byte_swap:
	.byte 0xd7, 0x01, 0, 0, 16, 0, 0, 0
newer_long_jump:
	.byte 0x06, 0x00, 0, 0, 1, 0, 0, 0
newer_jump_by_register:
	.byte 0x0d, 0x01, 0, 0, 0, 0, 0, 0
newer_may_goto:
	.byte 0xe5, 0x00, 1, 0, 0, 0, 0, 0
