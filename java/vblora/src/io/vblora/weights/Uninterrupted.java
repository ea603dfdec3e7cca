package io.vblora.weights;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;

/** Work on files that an interrupt of the thread does not keep from its end. */
final class Uninterrupted {
    private Uninterrupted() {}

    /** What can be done once more from its beginning. */
    @FunctionalInterface
    interface Work {
        void run() throws IOException;
    }

    /**
     * An interrupt closes the channel that a thread works with: it is put off, and what it struck is done again.
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
