package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.VBL_GELU;
import static io.vblora.kernels.global.vblora.VBL_GELU_TANH;
import static io.vblora.kernels.global.vblora.VBL_RELU;
import static io.vblora.kernels.global.vblora.VBL_TANH;

/** Activations of one argument. */
public enum Activation {
    /** x/2 · (1 + erf(x / √2)). */
    GELU(VBL_GELU),
    /** x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), GELU's approximation. */
    GELU_TANH(VBL_GELU_TANH),
    /** max(x, 0), with the slope 0 at 0. */
    RELU(VBL_RELU),
    /** The hyperbolic tangent. */
    TANH(VBL_TANH);

    private final int nativeCode;

    Activation(int nativeCode) {
        this.nativeCode = nativeCode;
    }

    /** The number in the C ABI, {@code vbl_activation}. */
    int nativeCode() {
        return nativeCode;
    }
}
