package io.vblora.model;

import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.List;

/**
 * What the ops of a pass run with. They read and write the memory of the stream's device alone: what the host has to
 * say is among the inputs, and what it wants to know it reads when the ops are done.
 *
 * @param arena for intermediate tensors
 * @param step whose seed, number and micro-batch the dropout of a training pass is drawn for; null in an evaluation,
 * which draws none
 * @param inputs on the device, in the order in which they were added
 */
public record Pass(Stream stream, Arena arena, Blas blas, StepState step, List<Tensor> inputs) {
    /** Whether dropout is drawn, and gradients are added. */
    public boolean isTraining() {
        return step != null;
    }

    public Tensor input(Inputs.Place place) {
        return inputs.get(place.index());
    }
}
