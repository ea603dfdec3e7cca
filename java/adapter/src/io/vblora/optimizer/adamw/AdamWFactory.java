package io.vblora.optimizer.adamw;

import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerFactory;
import io.vblora.optimizer.OptimizerSettings;

/**
 * Makes AdamW. Hugging Face's names of it, such as {@code adamw_torch}, say whose implementation is meant; this one is
 * vblora's own.
 */
public final class AdamWFactory implements OptimizerFactory {
    /** For the service loader. */
    public AdamWFactory() {}

    @Override
    public String optim() {
        return "adamw";
    }

    @Override
    public Optimizer create(OptimizerSettings settings) {
        return new AdamW(settings.adamBeta1(), settings.adamBeta2(), settings.adamEpsilon(), settings.weightDecay());
    }
}
