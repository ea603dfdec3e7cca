/**
 * Adapters: their configuration with PEFT's keys, the modules they attach to, compositions that turn trainable
 * parameters into the low-rank matrices A and B of every module, and PEFT's folders read and written.
 */
package io.vblora.adapter;
