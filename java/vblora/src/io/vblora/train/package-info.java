/** Fine-tuning: arguments, the training loop, schedules and listeners. */
package io.vblora.train;
