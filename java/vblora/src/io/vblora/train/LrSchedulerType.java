package io.vblora.train;

import java.util.Locale;

/** Learning-rate schedules with linear warm-up, as defined by Hugging Face transformers. */
public enum LrSchedulerType {
    LINEAR, COSINE, CONSTANT;

    /**
     * The factor on the base learning rate in optimizer step {@code step} (from 1). During warm-up it is (step - 1) /
     * warmupSteps, so that it is 0 in the first step. Then it falls to 0 at {@code totalSteps} along a line or half a
     * cosine, or stays 1.
     */
    public double factor(long step, long warmupSteps, long totalSteps) {
        long done = step - 1;
        if (done < warmupSteps) {
            return (double) done / Math.max(1, warmupSteps);
        }
        return switch (this) {
            case CONSTANT -> 1;
            case LINEAR -> Math.max(0, (double) (totalSteps - done) / Math.max(1, totalSteps - warmupSteps));
            case COSINE -> {
                double progress = (double) (done - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
                yield Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
            }
        };
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
