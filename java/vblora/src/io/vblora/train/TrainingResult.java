package io.vblora.train;

import java.util.OptionalDouble;

/**
 * How a run went.
 *
 * @param steps optimizer steps done
 * @param trainLoss mean over all steps of the training loss
 * @param lastLoss training loss of the last step
 * @param evalLossBefore loss on the held-out data before the first step, if there is held-out data
 * @param evalLossAfter loss on the held-out data after the last step
 * @param tokens tokens trained on, padding excluded
 * @param seconds time of the steps alone
 */
public record TrainingResult(long steps, double trainLoss, double lastLoss, OptionalDouble evalLossBefore,
        OptionalDouble evalLossAfter, long tokens, double seconds) {}
