/**
 * PEFT's adapter files, whatever the method: the names of their tensors, the tensors of each form, and how they are
 * read. Nothing here knows adapters.
 */
package io.vblora.adapter.peft;
