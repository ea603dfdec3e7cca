package io.vblora.adapter;

import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;

/**
 * The seam between adapter methods and everything else: turns trainable parameters into the packed A and Bᵀ of all
 * modules, and the gradients of these back into gradients of the parameters. Whoever runs the model reads A and Bᵀ,
 * adds to dA and dBᵀ, and knows nothing of the method.
 */
public interface Composition extends Trainable {
    /**
     * A [r, in] and Bᵀ [r, out] of all modules, one after the other, float32. They are always composed from the current
     * parameters.
     */
    Tensor packed();

    /**
     * The gradient of {@link #packed()}, to be added to.
     *
     * @throws IllegalStateException unless training is enabled
     */
    Tensor packedGradient();

    /**
     * The tensors that are stored in one of the method's forms, once the stream has written them.
     *
     * @throws io.vblora.InputException if the composition does not hold what that form needs
     */
    default NamedTensors stored(StoredForm form, Stream stream) {
        return parameters(stream);
    }

    @Override
    default void zeroGradient(Stream stream) {
        Memory.zero(stream, packedGradient());
    }
}
