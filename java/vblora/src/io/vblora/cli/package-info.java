/**
 * The command line: {@code vblora demo}, {@code finetune}, {@code evaluate}, {@code delta}, {@code inspect} and
 * {@code doctor}. A command is a picocli class of its own; options that several have, or that belong together, are
 * mixins; what a task does with files and a model is a {@link io.vblora.cli.TaskSession}.
 */
package io.vblora.cli;
