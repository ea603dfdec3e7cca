/**
 * The command line: {@code vblora demo}, {@code finetune}, {@code evaluate}, {@code delta}, {@code inspect}, {@code
 * doctor} and {@code bench}. Each command is a picocli class of its own. Options that several commands share, or that
 * belong together, are mixins. What a task does with files and a model is a {@link io.vblora.cli.TaskSession}.
 */
package io.vblora.cli;
