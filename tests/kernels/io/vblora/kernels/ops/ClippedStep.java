package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_memcpy;

import io.vblora.kernels.Stream;
import io.vblora.kernels.bindings.vbl_step;

/** What clipping has left in a step on the device. */
public final class ClippedStep {
    private ClippedStep() {}

    /** The norm of all gradients that {@link GradientNorm#clip} wrote. Waits for the stream. */
    public static float gradientNorm(Stream stream, StepState step) {
        try (vbl_step copy = new vbl_step()) {
            stream.run(handle -> vbl_memcpy(handle, copy, step.handle(stream), copy.sizeof()));
            stream.synchronize();
            return copy.gradient_norm();
        }
    }
}
