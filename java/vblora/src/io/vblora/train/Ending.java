package io.vblora.train;

/** Why a run is over. */
public enum Ending {
    /** All of its steps are done. */
    COMPLETE,
    /** So many scorings in a row were no better than the best as {@code early_stopping_patience} says. */
    EARLY_STOPPING,
    /** The thread that trains was interrupted: the parameters are those after the last whole step. */
    INTERRUPTED,
    /**
     * The loss or the parameters were no longer finite, and {@code load_best_model_at_end} has brought back those that
     * had scored best until then.
     */
    DIVERGED
}
