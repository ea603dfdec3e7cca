package io.vblora.data;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/** Prints a line every few seconds while a file is read, and none if that takes less time. Thread-safe. */
public final class ReadingProgress implements ReadingListener {
    private static final long LINE_INTERVAL_NANOS = 5_000_000_000L;

    private final Path file;
    private final PrintWriter out;
    private final LongSupplier nanoTime;
    private final AtomicLong lastLineNanos;

    /** For a file whose reading begins now. */
    public ReadingProgress(Path file, PrintWriter out) {
        this(file, out, System::nanoTime);
    }

    ReadingProgress(Path file, PrintWriter out, LongSupplier nanoTime) {
        this.file = file;
        this.out = out;
        this.nanoTime = nanoTime;
        this.lastLineNanos = new AtomicLong(nanoTime.getAsLong());
    }

    @Override
    public void onBytes(long read) {
        if (isLineDue()) {
            print("reading %s, %,d%s bytes", file, read, ofAll());
        }
    }

    @Override
    public void onRows(long tokenized, long rows) {
        if (isLineDue()) {
            print("tokenizing %s, %,d/%,d rows", file, tokenized, rows);
        }
    }

    /** How long the file is, if that is known; of a pipe it is not. */
    private String ofAll() {
        try {
            return Files.isRegularFile(file) ? String.format(Locale.ROOT, "/%,d", Files.size(file)) : "";
        } catch (IOException e) {
            return ""; // the reader says what is wrong with it
        }
    }

    /** True for only one of the threads that ask. */
    private boolean isLineDue() {
        long now = nanoTime.getAsLong();
        long last = lastLineNanos.get();
        return now - last >= LINE_INTERVAL_NANOS && lastLineNanos.compareAndSet(last, now);
    }

    private void print(String format, Object... arguments) {
        out.println(String.format(Locale.ROOT, format, arguments));
        out.flush();
    }
}
