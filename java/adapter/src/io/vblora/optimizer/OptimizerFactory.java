package io.vblora.optimizer;

/**
 * Makes optimizers of one kind, such as AdamW. {@link Optimizers} finds factories as {@link io.vblora.Services}, so
 * that those of other artifacts take part just like those of this one: public classes with a constructor without
 * parameters, named in META-INF/services or provided by a module. Immutable; used by any number of threads.
 */
public interface OptimizerFactory {
    /** The value of {@code optim} that stands for it, in lower case. */
    String optim();

    /**
     * An optimizer with the settings of a run. It takes those that it has a use for.
     *
     * @throws io.vblora.InputException naming a setting that asks for what the optimizer cannot do
     */
    Optimizer create(OptimizerSettings settings);
}
