package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.parameters.Trainable;
import java.util.List;

/** How parameters are changed from their gradients. Immutable: what is remembered of parameters is the state. */
public interface Optimizer {
    /**
     * Begins anew with parameters whose training is enabled, from their present values: what an optimizer attached
     * before has kept elsewhere is taken back, by {@link Trainable#trained}. That one's state may only be closed from
     * then on. The parameters must outlive the use of the state.
     *
     * @param trainables with one parameter at least
     * @param stream which runs the updates
     */
    OptimizerState attach(Stream stream, List<? extends Trainable> trainables);
}
