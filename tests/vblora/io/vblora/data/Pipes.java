package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Assumptions;

/** Named pipes, as a shell's process substitution gives them to a command. */
public final class Pipes {
    private Pipes() {}

    /** Makes a pipe; where that cannot be done the test is skipped. */
    public static Path make(Path pipe) throws InterruptedException {
        try {
            assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
        } catch (IOException e) {
            Assumptions.abort("this machine makes no pipes: " + e.getMessage());
        }
        return pipe;
    }

    /** Writes a text into a pipe, in two parts, between which it waits for a time in which a reader loses patience. */
    public static Future<?> writeSlowly(Path pipe, String text) {
        return CompletableFuture.runAsync(() -> {
            try (OutputStream out = Files.newOutputStream(pipe)) {
                byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
                out.write(bytes, 0, 100);
                out.flush();
                Thread.sleep(5_500);
                out.write(bytes, 100, bytes.length - 100);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /** Writes a text into a pipe, a byte at a time, and closes it, for a reader that may come later. */
    public static Future<?> write(Path pipe, String text) {
        return CompletableFuture.runAsync(() -> {
            try (OutputStream out = Files.newOutputStream(pipe)) {
                for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
                    out.write(b);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }
}
