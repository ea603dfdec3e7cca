package io.vblora.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.data.Pipes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {
    @TempDir
    private Path folder;

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void createsAndReplaces() throws IOException {
        Path file = folder.resolve("f");
        AtomicFile.write(file, utf8("one"));
        AtomicFile.write(file, utf8("two"));
        assertEquals("two", Files.readString(file));
        assertEquals(List.of("f"), names());
    }

    /**
     * Before the writing, where the channel closes at the first write, and in its midst, where all is written again.
     */
    @Test
    void anInterruptDoesNotKeepAFileFromBeingWritten() throws IOException {
        Path file = folder.resolve("f");
        Thread.currentThread().interrupt();
        try {
            AtomicFile.write(file, utf8("one"));
            assertTrue(Thread.interrupted());
            int[] calls = new int[1];
            AtomicFile.write(file, channel -> {
                channel.write(ByteBuffer.wrap(utf8("t")));
                if (calls[0]++ == 0) {
                    Thread.currentThread().interrupt();
                }
                channel.write(ByteBuffer.wrap(utf8("wo")));
            });
            assertTrue(Thread.interrupted());
            assertEquals(2, calls[0]);
        } finally {
            Thread.interrupted();
        }
        assertEquals("two", Files.readString(file));
        assertEquals(List.of("f"), names());
    }

    @Test
    void aFailureMidWayLeavesTheOldFileAlone() throws IOException {
        Path file = folder.resolve("f");
        AtomicFile.write(file, utf8("old"));
        IOException full = new IOException("No space left on device");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(file, channel -> {
            channel.write(ByteBuffer.wrap(utf8("half of the new")));
            throw full;
        }));
        assertSame(full, e.getCause());
        assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
        IllegalStateException bug = new IllegalStateException();
        assertSame(bug, assertThrows(IllegalStateException.class, () -> AtomicFile.write(file, channel -> {
            channel.write(ByteBuffer.wrap(utf8("half of the new")));
            throw bug;
        })));
        assertEquals("old", Files.readString(file));
        assertEquals(List.of("f"), names());
    }

    /** As /dev/stdout into a pipe is. */
    @Test
    void writesToAPipeAsItStands() throws Exception {
        Path pipe = Pipes.make(folder.resolve("pipe"));
        CompletableFuture<String> read = CompletableFuture.supplyAsync(() -> {
            try {
                return Files.readString(pipe);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        AtomicFile.write(pipe, utf8("through"));
        assertEquals("through", read.get(1, TimeUnit.MINUTES));
        assertEquals(List.of("pipe"), names());
    }

    /** What the process prints, then what it writes by the name that its standard output has. */
    public static final class OutputWriter {
        public static void main(String[] args) {
            System.out.println("printed");
            System.out.flush();
            AtomicFile.write(Path.of("/proc/self/fd/1"), utf8("written"));
        }
    }

    /** As /dev/stdout redirected to a file is: a file, but the link to it must stay. */
    @Test
    void writesToARedirectedStreamAsItStands() throws Exception {
        Path file = folder.resolve("f");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-cp",
                System.getProperty("java.class.path"), OutputWriter.class.getName())
                .redirectError(ProcessBuilder.Redirect.INHERIT).redirectOutput(file.toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, process.exitValue());
        assertEquals("printed\nwritten", Files.readString(file));
    }

    @Test
    void namesTheFileThatCannotBeWritten() {
        Path file = folder.resolve("missing/f");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(file, utf8("x")));
        assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
    }

    @Test
    void refusesToReplaceAFolder() throws IOException {
        for (Path target : new Path[] {folder, Path.of("/")}) {
            UncheckedIOException e = assertThrows(UncheckedIOException.class,
                    () -> AtomicFile.write(target, utf8("x")));
            assertTrue(e.getMessage().contains("Cannot write " + target + ": it is a folder"), e.getMessage());
        }
        assertEquals(List.of(), names());
    }

    /** Half a file, then silence: what a killed process leaves. */
    public static final class HalfWriter {
        public static void main(String[] args) {
            AtomicFile.write(Path.of(args[0]), channel -> {
                channel.write(ByteBuffer.wrap(utf8("half of the new")));
                System.out.println("half");
                System.out.flush();
                Runtime.getRuntime().halt(137);
            });
        }
    }

    @Test
    void aKilledProcessLeavesTheOldFileAlone() throws Exception {
        Path file = folder.resolve("f");
        AtomicFile.write(file, utf8("old"));
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-cp",
                System.getProperty("java.class.path"), HalfWriter.class.getName(), file.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        assertEquals("half\n", output);
        assertEquals(137, process.exitValue());
        assertEquals("old", Files.readString(file));
        assertEquals(2, names().size(), "the old file and the temporary one of the killed process");
        AtomicFile.write(file, channel -> {
            channel.write(ByteBuffer.wrap(utf8("new")));
            AtomicFile.write(file, utf8("between"));
            assertEquals("between", Files.readString(file));
            assertEquals(2, names().size(), "the file, and the one that is being written");
        });
        assertEquals("new", Files.readString(file));
        assertEquals(List.of("f"), names());
    }
}
