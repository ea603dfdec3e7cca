package io.vblora.train;

import java.util.Map;

/**
 * Told what happens in a training run, on the thread that trains. What a listener throws ends the run. Progress bars
 * and metrics files are listeners.
 */
public interface TrainingListener {
    /**
     * What will be run.
     *
     * @param totalSteps optimizer steps, fewer if the run stops early
     * @param examples training examples
     * @param trainableParameters numbers that are trained
     */
    record Run(long totalSteps, long examples, long trainableParameters) {}

    /**
     * One optimizer step.
     *
     * @param step its number, from 1
     * @param totalSteps steps of the run
     * @param epoch passes over the data so far, this step included
     * @param loss mean of the loss over what counts in the step (label tokens or examples), before the update
     * @param learningRates by name, {@code learning_rate_vector_bank} and so on, as used in this step
     * @param gradNorm global 2-norm of the gradients before clipping
     * @param tokens tokens of the step, padding excluded
     * @param tokensPerSecond rate of this step
     */
    record Step(long step, long totalSteps, double epoch, double loss, Map<String, Double> learningRates,
            double gradNorm, long tokens, double tokensPerSecond) {}

    /**
     * How far the scoring of held-out data is.
     *
     * @param step optimizer steps before it
     * @param scored held-out examples scored so far
     * @param examples held-out examples
     */
    record PredictionStep(long step, long scored, long examples) {}

    /**
     * Scores on held-out data.
     *
     * @param step optimizer steps before it
     * @param metrics by name: {@code eval_loss}, the mean loss, and the metrics of the task
     * @param best whether they are better, by the metric that chooses, than all before
     */
    record Evaluation(long step, Map<String, Double> metrics, boolean best) {}

    default void onTrainingBegin(Run run) {}

    default void onStep(Step step) {}

    default void onPredictionStep(PredictionStep step) {}

    default void onEvaluation(Evaluation evaluation) {}

    /** The run is over, whether it ended well or by an exception; always called once after {@link #onTrainingBegin}. */
    default void onTrainingEnd() {}
}
