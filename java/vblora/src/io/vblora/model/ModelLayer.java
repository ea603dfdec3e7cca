package io.vblora.model;

import io.vblora.kernels.Tensor;

/**
 * One of the layers of a model, each of which reads what the one before it wrote.
 *
 * @param <S> what the backward pass reads of the forward pass: tensors of the arena
 */
public interface ModelLayer<S> extends ModelPart {
    /** out [tokens, hidden] = the layer's output for x [tokens, hidden], which do not overlap. */
    S forward(Pass pass, Tokens batch, Tensor x, Tensor out);

    /**
     * Turns dx [tokens, hidden], the gradient of the output, into that of the input, and adds the adapter's gradients.
     *
     * @param inputGradient false if nobody needs the gradient of the input: dx is then undefined afterwards
     */
    void backward(Pass pass, Tokens batch, S saved, Tensor dx, boolean inputGradient);
}
