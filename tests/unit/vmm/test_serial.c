/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The serial port: what it sends and takes, its interrupts, FIFO and loop. */
#include "../../../vmm/devices/serial/uart16550.h"
#include "vmm_test.h"

#define BASE 0x3f8

static struct {
	struct chardev c;
	struct chardev_front front;
	char sent[256];
	size_t nsent;
	unsigned int readies;
} line;

static struct bus ports;
static struct noted_irq irq;
static struct uart *uart;

static void fake_send(struct chardev *c, const u8 *p, size_t n)
{
	(void)c;
	assert_true(line.nsent + n <= sizeof(line.sent));
	memcpy(line.sent + line.nsent, p, n);
	line.nsent += n;
}

static void fake_ready(struct chardev *c)
{
	(void)c;
	line.readies++;
}

static void fake_connect(struct chardev *c, const struct chardev_front *front)
{
	(void)c;
	if (front)
		line.front = *front;
}

static int setup(void **state)
{
	const struct irq_line out = { note_irq, &irq, 4 };

	(void)state;
	memset(&line, 0, sizeof(line));
	memset(&ports, 0, sizeof(ports));
	memset(&irq, 0, sizeof(irq));
	line.c = (struct chardev){
		.send = fake_send, .ready = fake_ready, .connect = fake_connect,
	};
	uart = uart_new(&ports, BASE, &out, &line.c);
	return !uart;
}

static int teardown(void **state)
{
	(void)state;
	uart_free(uart);
	return 0;
}

static size_t type(const char *s)
{
	return line.front.receive(line.front.front, (const u8 *)s, strlen(s));
}

static void test_send(void **state)
{
	(void)state;
	assert_int_equal(inb(&ports, BASE + 5), 0x60);
	outb(&ports, BASE, 'A');
	outb(&ports, BASE, 'B');
	assert_memory_equal(line.sent, "AB", 2);
	/* the divisor hides the data register */
	outb(&ports, BASE + 3, 0x83);
	outb(&ports, BASE, 1);
	outb(&ports, BASE + 1, 2);
	assert_int_equal(inb(&ports, BASE), 1);
	assert_int_equal(inb(&ports, BASE + 1), 2);
	outb(&ports, BASE + 3, 3);
	assert_int_equal(line.nsent, 2);
	assert_int_equal(inb(&ports, BASE + 1), 0);
	outb(&ports, BASE + 7, 0x5a);
	assert_int_equal(inb(&ports, BASE + 7), 0x5a);
}

static void test_tx_interrupt(void **state)
{
	(void)state;
	assert_int_equal(inb(&ports, BASE + 2), 0x01);
	outb(&ports, BASE + 1, 2);
	assert_true(irq.level);
	assert_int_equal(inb(&ports, BASE + 2), 0x02);
	assert_false(irq.level);
	assert_int_equal(inb(&ports, BASE + 2), 0x01);
	outb(&ports, BASE, 'x');
	assert_true(irq.level);
	assert_int_equal(irq.rises, 2);
	outb(&ports, BASE + 1, 0);
	assert_false(irq.level);
}

static void test_receive(void **state)
{
	(void)state;
	/* without FIFO one character at a time */
	assert_int_equal(type("ab"), 1);
	assert_int_equal(inb(&ports, BASE + 5), 0x61);
	assert_int_equal(inb(&ports, BASE), 'a');
	assert_int_equal(line.readies, 1);
	assert_int_equal(inb(&ports, BASE + 5), 0x60);
	/* with FIFO sixteen, and an interrupt also below the trigger */
	outb(&ports, BASE + 2, 0xc1);
	outb(&ports, BASE + 1, 1);
	assert_int_equal(type("q"), 1);
	assert_true(irq.level);
	assert_int_equal(inb(&ports, BASE + 2), 0xcc);
	assert_int_equal(type("0123456789abcdefgh"), 15);
	assert_int_equal(inb(&ports, BASE + 2), 0xc4);
	assert_int_equal(inb(&ports, BASE), 'q');
	while (inb(&ports, BASE + 5) & 1)
		inb(&ports, BASE);
	assert_int_equal(line.readies, 2);
	assert_false(irq.level);
	/* clearing */
	type("zz");
	outb(&ports, BASE + 2, 0xc3);
	assert_int_equal(inb(&ports, BASE + 5), 0x60);
}

static void test_break(void **state)
{
	(void)state;
	outb(&ports, BASE + 1, 5);
	line.front.receive_break(line.front.front);
	assert_int_equal(inb(&ports, BASE + 2), 0x06);
	assert_int_equal(inb(&ports, BASE + 5), 0x71);
	assert_int_equal(inb(&ports, BASE), 0);
	assert_false(irq.level);
}

static void test_loop(void **state)
{
	(void)state;
	assert_int_equal(inb(&ports, BASE + 6), 0xb0);
	outb(&ports, BASE + 4, 0x1a);	/* RTS and OUT2 come back as CTS and DCD */
	assert_int_equal(inb(&ports, BASE + 6) & 0xf0, 0x90);
	outb(&ports, BASE, 'L');
	assert_int_equal(line.nsent, 0);
	assert_int_equal(type("x"), 0);
	assert_int_equal(inb(&ports, BASE), 'L');
	outb(&ports, BASE + 4, 0x0b);
	assert_int_equal(line.readies, 1);
	assert_int_equal(inb(&ports, BASE + 6) & 0xf0, 0xb0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tx_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_break, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
