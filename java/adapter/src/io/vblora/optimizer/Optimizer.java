package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.parameters.Trainable;
import java.util.List;

/** A way to change parameters by their gradients. Immutable: what is remembered about parameters is in the state. */
public interface Optimizer {
    /**
     * A new state for parameters whose training is enabled, which starts from their present values. Values that a
     * previous optimizer has kept elsewhere are taken back by {@link Trainable#trained}, and its state may only be
     * closed from then on. The parameters must live as long as the state is used.
     *
     * @param trainables they have at least one parameter
     * @param stream runs the updates
     */
    OptimizerState attach(Stream stream, List<? extends Trainable> trainables);
}
