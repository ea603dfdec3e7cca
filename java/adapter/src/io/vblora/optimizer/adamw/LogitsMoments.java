package io.vblora.optimizer.adamw;

import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.AdamWOps;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.SelectedLogits;

/** Moments of all logits, which weight decay needs, and which a small bank has room for. */
final class LogitsMoments extends BufferMoments {
    private final SelectedLogits logits;
    private final int group;

    LogitsMoments(Stream stream, SelectedLogits logits, int group) {
        super(stream, logits);
        this.logits = logits;
        this.group = group;
        logits.selectedByOptimizer();
    }

    @Override
    public void update(Stream stream, StepState step, AdamWGroups groups) {
        AdamWOps.adamwSelect(stream, logits.shape(), step, groups, group, logits.values(), logits.gradient(),
                expAvg, expAvgSq, logits.indices(), logits.weights(), logits.badRow());
    }
}
