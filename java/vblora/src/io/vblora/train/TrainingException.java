package io.vblora.train;

/** A run that cannot go on, or came to nothing, such as one whose loss is no longer finite. */
public final class TrainingException extends RuntimeException {
    public TrainingException(String message) {
        this(message, null);
    }

    public TrainingException(String message, Throwable cause) {
        super(message, cause);
    }
}
