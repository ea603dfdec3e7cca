/**
 * PEFT's adapter files, whatever the method: the names of their tensors, which tensors a way of storing has, and how
 * they are read. Knows nothing of adapters.
 */
package io.vblora.adapter.peft;
