package io.vblora;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Keeps apart those that read something, of whom there may be many at a time, and the one that changes it. Nobody
 * waits: whoever comes at the wrong time gets an {@link IllegalStateException} and has changed nothing. The thread that
 * changes may also read, and change in the midst of a change.
 */
public final class SharedUse {
    private static final int CHANGING = -1;
    private static final Use WITHIN_CHANGE = () -> { };

    private final String refusal;
    /** Uses that read, or {@link #CHANGING}. */
    private final AtomicInteger readers = new AtomicInteger();
    private final Use reading = readers::decrementAndGet;
    private final Use changing = this::changed;
    private volatile Thread changer;

    /** A use, until it is closed by the thread that began it, once. */
    public interface Use extends AutoCloseable {
        @Override
        void close();
    }

    /**
     * @param what begins a sentence: "The model"
     * @param rule says who may use it at a time
     */
    public SharedUse(String what, String rule) {
        this.refusal = what + " is in use by another thread: " + rule;
    }

    /** @throws IllegalStateException if another thread changes it */
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

    /** @throws IllegalStateException if any thread reads it, or another one changes it */
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
