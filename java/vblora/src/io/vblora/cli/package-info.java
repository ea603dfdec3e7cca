/** The command line: {@code vblora finetune}, {@code delta}, {@code inspect} and {@code doctor}. */
package io.vblora.cli;
