package io.vblora.train;

import java.util.Map;

/**
 * How a run went.
 *
 * @param ending why it is over
 * @param steps optimizer steps done
 * @param trainLoss mean over all steps of the training loss; NaN without any
 * @param lastLoss training loss of the last step; NaN without any
 * @param metricsBefore scores on the held-out data before the first step; empty without such data, or if the run was
 * interrupted before they were known
 * @param metricsAfter scores on the held-out data of the parameters as the run leaves them; empty without such data, or
 * if the run was interrupted before they were known
 * @param bestStep steps before the best of all evaluations; -1 without any
 * @param tokens tokens trained on, padding excluded
 * @param seconds time of the steps alone
 */
public record TrainingResult(Ending ending, long steps, double trainLoss, double lastLoss,
        Map<String, Double> metricsBefore, Map<String, Double> metricsAfter, long bestStep, long tokens,
        double seconds) {}
