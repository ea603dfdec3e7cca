package io.vblora.weights;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;

/** Work on files that is completed even if the thread is interrupted. */
final class Uninterrupted {
    private Uninterrupted() {}

    /** Work that can be repeated from its beginning. */
    @FunctionalInterface
    interface Work {
        void run() throws IOException;
    }

    /**
     * An interrupt closes the channel that a thread is using. It is put off, and the work that it struck is repeated.
     * Afterwards the thread is marked as interrupted.
     */
    static void run(Work work) throws IOException {
        boolean interrupted = Thread.interrupted();
        try {
            while (true) {
                try {
                    work.run();
                    return;
                } catch (ClosedByInterruptException e) {
                    interrupted |= Thread.interrupted();
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
