package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_convert;
import static io.vblora.kernels.global.vblora.vbl_memcpy;
import static io.vblora.kernels.global.vblora.vbl_memset;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/** Fills, copies and conversions on a stream. */
public final class Memory {
    private Memory() {}

    /** Fills a tensor of any type with zeros. */
    public static void zero(Stream stream, Tensor tensor) {
        Check.elements(stream, "tensor", tensor, tensor.dtype(), tensor.elements());
        stream.run(handle -> vbl_memset(handle, tensor.pointer(), 0, tensor.bytes()));
    }

    /**
     * Copies a tensor of any type to one of the same type and number of elements that does not overlap it, each on the
     * stream's device or on the CPU. A CUDA stream may read or write a {@link Tensor#pinned pinned} one after the call;
     * any other CPU tensor is done with when it returns.
     */
    public static void copy(Stream stream, Tensor source, Tensor destination) {
        Check.reachable(stream, "source", source, destination.dtype(), destination.elements());
        Check.reachable(stream, "destination", destination, destination.dtype(), destination.elements());
        stream.run(handle -> vbl_memcpy(handle, destination.pointer(), source.pointer(), source.bytes()));
    }

    /** Converts between float32, bfloat16 and float16, round to nearest even; the tensors must not overlap. */
    public static void convert(Stream stream, Tensor source, Tensor destination) {
        Check.nativeFloat(stream, "source", source, destination.elements());
        Check.nativeFloat(stream, "destination", destination, destination.elements());
        stream.run(handle -> vbl_convert(handle, source.elements(), source.pointer(), source.dtype().nativeCode(),
                destination.pointer(), destination.dtype().nativeCode()));
    }
}
