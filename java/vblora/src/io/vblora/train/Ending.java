package io.vblora.train;

/** Why a run is over. */
public enum Ending {
    /** All of its steps are done. */
    COMPLETE,
    /** As many evaluations in a row as {@code early_stopping_patience} says were no better than the best. */
    EARLY_STOPPING,
    /** The thread that trains was interrupted: the parameters are those after the last whole step. */
    INTERRUPTED,
    /**
     * The loss or the parameters were no longer finite, and {@code load_best_model_at_end} has restored the parameters
     * that had scored best until then.
     */
    DIVERGED
}
