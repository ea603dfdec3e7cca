package io.vblora.train;

/** Thrown when a run cannot go on, for example because its loss is no longer finite, or when it has no result. */
public final class TrainingException extends RuntimeException {
    public TrainingException(String message) {
        this(message, null);
    }

    public TrainingException(String message, Throwable cause) {
        super(message, cause);
    }
}
