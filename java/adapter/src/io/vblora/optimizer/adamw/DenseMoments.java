package io.vblora.optimizer.adamw;

import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.AdamWOps;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.DenseParameters;

/** Moments of parameters that all have a gradient. */
final class DenseMoments extends BufferMoments {
    private final DenseParameters parameters;
    private final int group;

    DenseMoments(Stream stream, DenseParameters parameters, int group) {
        super(stream, parameters);
        this.parameters = parameters;
        this.group = group;
    }

    @Override
    public void update(Stream stream, StepState step, AdamWGroups groups) {
        AdamWOps.adamw(stream, step, groups, group, parameters.values(), parameters.gradient(), expAvg, expAvgSq);
    }
}
