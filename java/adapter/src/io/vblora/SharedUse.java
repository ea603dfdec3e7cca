package io.vblora;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Keeps those that read something, of whom there may be many at a time, apart from the one that changes it. Nobody
 * waits: whoever comes at the wrong time gets an {@link IllegalStateException} and has changed nothing. The thread that
 * is changing may also read, and may begin a change within a change.
 */
public final class SharedUse {
    private static final int CHANGING = -1;
    private static final Use WITHIN_CHANGE = () -> {};

    private final String refusal;
    /** The number of reading uses, or {@link #CHANGING}. */
    private final AtomicInteger readers = new AtomicInteger();
    private final Use reading = readers::decrementAndGet;
    private final Use changing = this::changed;
    private volatile Thread changer;

    /** A use, which lasts until the thread that began it closes it, once. */
    public interface Use extends AutoCloseable {
        @Override
        void close();
    }

    /**
     * @param what the subject of a sentence, such as "The model"
     * @param rule a sentence that says who may use it at a time
     */
    public SharedUse(String what, String rule) {
        this.refusal = what + " is in use by another thread: " + rule;
    }

    /** @throws IllegalStateException if another thread is changing it */
    public Use read() {
        if (changer == Thread.currentThread()) {
            return WITHIN_CHANGE;
        }
        int count = readers.get();
        while (count == CHANGING || !readers.compareAndSet(count, count + 1)) {
            if (count == CHANGING) {
                throw new IllegalStateException(refusal);
            }
            count = readers.get();
        }
        return reading;
    }

    /** @throws IllegalStateException if any thread is reading it, or another one is changing it */
    public Use change() {
        if (changer == Thread.currentThread()) {
            return WITHIN_CHANGE;
        }
        if (!readers.compareAndSet(0, CHANGING)) {
            throw new IllegalStateException(refusal);
        }
        changer = Thread.currentThread();
        return changing;
    }

    private void changed() {
        changer = null;
        readers.set(0);
    }
}
