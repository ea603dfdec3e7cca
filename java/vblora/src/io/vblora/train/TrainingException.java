package io.vblora.train;

/** A run that cannot go on, such as a loss that is no longer finite. */
public final class TrainingException extends RuntimeException {
    public TrainingException(String message) {
        super(message);
    }
}
