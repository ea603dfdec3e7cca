package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.parameters.Trainable;
import java.util.List;

/** How parameters are changed from their gradients. Immutable: what is remembered of parameters is the state. */
public interface Optimizer {
    /**
     * Begins anew with parameters whose training is enabled. The parameters must outlive the use of the state.
     *
     * @param trainables with one parameter at least
     * @param stream which runs the updates
     */
    OptimizerState attach(Stream stream, List<? extends Trainable> trainables);
}
