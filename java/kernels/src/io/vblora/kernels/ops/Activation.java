package io.vblora.kernels.ops;

/** An activation function, element by element. */
public enum Activation {
    /** x · Φ(x), with Φ by erf. */
    GELU,
    /** The approximation of GELU by tanh. */
    GELU_TANH,
    RELU,
    TANH
}
