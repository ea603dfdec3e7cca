package io.vblora.train;

import java.util.Map;

/**
 * How a run went.
 *
 * @param ending why it is over
 * @param steps number of optimizer steps that were done
 * @param trainLoss mean of the training losses of all steps; NaN if there were no steps
 * @param lastLoss training loss of the last step; NaN if there were no steps
 * @param metricsBefore scores on the held-out data before the first step; empty without such data, or if the run was
 * interrupted before they were known
 * @param metricsAfter scores on the held-out data with the parameters that the run leaves; empty without such data, or
 * if the run was interrupted before they were known
 * @param bestStep number of steps before the best of all evaluations; -1 if there were none
 * @param tokens number of tokens trained on
 * @param seconds time of the steps, without evaluations
 */
public record TrainingResult(Ending ending, long steps, double trainLoss, double lastLoss,
        Map<String, Double> metricsBefore, Map<String, Double> metricsAfter, long bestStep, long tokens,
        double seconds) {}
