package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_OK;
import static io.vblora.kernels.global.vblora.vbl_last_error;

import java.nio.charset.StandardCharsets;

/** A native op that failed: wrong arguments, not enough memory, no device, an unreadable file. */
public class KernelException extends RuntimeException {
    private final int status;

    public KernelException(int status, String message) {
        super(message);
        this.status = status;
    }

    /** The {@code vbl_status} of the failed call, {@code VBL_INVALID_ARGUMENT} and so on. */
    public int status() {
        return status;
    }

    /**
     * Throws what the thread's last native call reported, unless {@code status} is {@code VBL_OK}.
     *
     * @throws KernelException with the native message
     */
    public static void check(int status) {
        if (status != VBL_OK) {
            throw new KernelException(status, vbl_last_error().getString(StandardCharsets.UTF_8));
        }
    }
}
