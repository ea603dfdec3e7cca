/** Fine-tuning: its arguments, the training loop, schedules and listeners. */
package io.vblora.train;
