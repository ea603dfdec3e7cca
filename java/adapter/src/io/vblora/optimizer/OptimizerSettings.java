package io.vblora.optimizer;

/**
 * What a run says to its optimizer, whichever that is, under the names of Hugging Face's {@code TrainingArguments}. The
 * values have been checked as those of training arguments are.
 *
 * @param weightDecay decoupled weight decay, for the groups that decay
 * @param adamBeta1 decay of the average of gradients
 * @param adamBeta2 decay of the average of their squares
 * @param adamEpsilon what is added to the root of the latter
 */
public record OptimizerSettings(double weightDecay, double adamBeta1, double adamBeta2, double adamEpsilon) {}
