package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;

/**
 * The loss of a sequence model's training pass: cross-entropy against classes, or the squared error against values.
 *
 * @param targets [size], int32 classes or float32 values
 * @param scale of the gradients, float32 [1]
 * @param sum float64 [1], added to
 */
record Loss(ProblemType problemType, Tensor targets, Tensor scale, Tensor sum) {
    /** A loss whose targets and scale are among the inputs of a pass. */
    record Given(ProblemType problemType, Inputs.Place targets, Inputs.Place scale, Tensor sum) {
        Loss in(Pass pass) {
            return new Loss(problemType, pass.input(targets), pass.input(scale), sum);
        }
    }

    static Given give(Inputs inputs, ProblemType problemType, float[] targets, Training training) {
        Inputs.Place place = problemType == ProblemType.REGRESSION ? inputs.floats(targets, targets.length)
                : inputs.ints(classes(targets));
        return new Given(problemType, place, inputs.scalar((float) training.gradientScale()), training.lossSum());
    }

    private static int[] classes(float[] targets) {
        int[] classes = new int[targets.length];
        for (int i = 0; i < classes.length; i++) {
            classes[i] = (int) targets[i];
        }
        return classes;
    }

    /** Adds the loss of logits [size, labels] to the sum, and turns them into their gradients. */
    void add(Pass pass, Tensor logits) {
        if (problemType == ProblemType.REGRESSION) {
            Transformer.squaredError(pass.stream(), pass.arena(), logits, targets, scale, sum, logits);
        } else {
            Transformer.crossEntropy(pass.stream(), pass.arena(), logits, targets, scale, sum, logits);
        }
    }
}
