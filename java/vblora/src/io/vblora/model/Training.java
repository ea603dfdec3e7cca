package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;

/**
 * What a training pass is for: a micro-batch of an optimizer step.
 *
 * @param step says which micro-batch of which step it is, and so what dropout is drawn; it is uploaded
 * @param gradientScale factor of the gradients
 * @param lossSum float64 [1] on the execution's device; the pass adds the sum of the loss to it
 */
public record Training(StepState step, double gradientScale, Tensor lossSum) {}
