package io.vblora.optimizer;

/**
 * What a run says to its optimizer, whichever that is, under the names of Hugging Face's {@code TrainingArguments}. The
 * values have been checked as those of training arguments are.
 *
 * @param weightDecay decoupled weight decay, for the groups that decay
 * @param adamBeta1 decay of the average of gradients
 * @param adamBeta2 decay of the average of their squares
 * @param adamEpsilon what is added to the root of the latter
 * @param maxGradNorm the norm that gradients are clipped to, which the optimizer's op does by the step's clip factor; 0
 *        clips nothing
 */
public record OptimizerSettings(double weightDecay, double adamBeta1, double adamBeta2, double adamEpsilon,
        double maxGradNorm) {}
