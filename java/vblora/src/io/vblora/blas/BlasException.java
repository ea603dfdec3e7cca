package io.vblora.blas;

/** A BLAS library that cannot be used; the message says which, and why. */
public final class BlasException extends RuntimeException {
    public BlasException(String message, Throwable cause) {
        super(message, cause);
    }
}
