package io.vblora.kernels;

/** The native library could not be loaded; the message says what was looked for and where. */
public final class NativeLibraryException extends RuntimeException {
    public NativeLibraryException(String message, Throwable cause) {
        super(message, cause);
    }
}
