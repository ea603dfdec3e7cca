package io.vblora;

/** A service on the class path or module path cannot be used: it cannot be made, or has the name of another one. */
public final class ServicesException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    public ServicesException(String message) {
        super(message);
    }

    ServicesException(String message, Throwable cause) {
        super(message, cause);
    }
}
