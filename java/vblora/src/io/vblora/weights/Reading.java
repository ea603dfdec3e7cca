package io.vblora.weights;

import io.vblora.kernels.Tensor;
import java.util.function.Consumer;

/** Fills tensors and closes them where that fails. */
final class Reading {
    private Reading() {}

    static Tensor fill(Tensor tensor, Consumer<Tensor> reader) {
        try {
            reader.accept(tensor);
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }
}
