/**
 * One thin, checked method per native op. Every method takes the stream first and refuses tensors of the wrong shape,
 * type or device with an {@link java.lang.IllegalArgumentException}; what the native side refuses comes as a {@link
 * io.vblora.kernels.KernelException}; a closed stream, tensor or state, and a stream that another thread uses, as an
 * {@link java.lang.IllegalStateException}. On a planning stream they only check. Objects that describe a shape hold a
 * few bytes of host memory and are made once, outside the hot loop; unless they say that threads may share them, they
 * are used by one thread at a time.
 */
package io.vblora.kernels.ops;
