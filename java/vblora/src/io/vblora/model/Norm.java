package io.vblora.model;

import io.vblora.kernels.Tensor;

/**
 * A normalisation of rows.
 *
 * @param <S> what the backward pass reads of the forward pass: tensors of the arena
 */
public interface Norm<S> extends ModelPart {
    /** y [rows, hidden] = the normalised x. */
    S forward(Pass pass, Rows rows, Tensor x, Tensor y);

    /**
     * Returns the gradient of x [rows, hidden], and adds those of its parameters to the adapter's.
     *
     * @param dy the gradient of y [rows, hidden], undefined afterwards; it may be what is returned
     * @param x what the forward pass read
     */
    Tensor inputGradient(Pass pass, Tensor dy, Tensor x, S saved);
}
