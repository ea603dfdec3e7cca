package io.vblora.train;

import java.util.Locale;

/** Learning-rate schedules with linear warm-up, as defined by Hugging Face transformers. */
public enum LrSchedulerType {
    LINEAR, COSINE, CONSTANT;

    /**
     * Factor on the base learning rate in optimizer step {@code step} (from 1): (step - 1) / warmupSteps during
     * warm-up, so the first of them has factor 0; then falling to 0 at {@code totalSteps} along a line or half a
     * cosine, or 1.
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
