package io.vblora.weights;

import io.vblora.IoReason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Replaces a file whole or not at all: a temporary file in the same folder is written, flushed to the disk and renamed
 * over the old one, and the folder is flushed. Whatever happens on the way, the file's old content (or absence) stays.
 * The temporary file is then removed; that of a killed process is removed when the file is written next. An interrupt
 * of the thread does not prevent the writing, and is still set afterwards. What is no file but can be written to, such
 * as /dev/stdout, is written to as it stands.
 */
public final class AtomicFile {
    private AtomicFile() {}

    /** Writes the content of a file. */
    @FunctionalInterface
    public interface Content {
        /** Writes all of it, and again if the thread is interrupted; an exception leaves the old file in place. */
        void writeTo(WritableByteChannel channel) throws IOException;
    }

    /**
     * Creates or replaces {@code file}. Its folder must exist.
     *
     * @throws UncheckedIOException naming the file, if it cannot be written
     */
    public static void write(Path file, Content content) {
        Path target = file.toAbsolutePath();
        if (Files.isDirectory(target)) {
            throw new UncheckedIOException("Cannot write " + file + ": it is a folder",
                    new FileSystemException(file.toString()));
        }
        if (Files.exists(target) && !Files.isRegularFile(target) || isStream(target)) {
            writeAsItStands(target, content);
            return;
        }
        try {
            Uninterrupted.run(() -> replace(target, content));
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write " + file + ": " + IoReason.of(e), e);
        }
    }

    private static void replace(Path target, Content content) throws IOException {
        Path folder = target.getParent();
        String name = target.getFileName().toString();
        Temporary.clear(folder, name, null);
        try (Temporary temporary = Temporary.file(folder, name)) {
            content.writeTo(temporary.channel());
            temporary.channel().force(true);
            move(temporary.path(), target);
            flush(folder);
        }
    }

    /** Creates or replaces {@code file} with these bytes. */
    public static void write(Path file, byte[] content) {
        write(file, content(content));
    }

    /** These bytes as the content of a file. */
    public static Content content(byte[] bytes) {
        return channel -> writeFully(channel, ByteBuffer.wrap(bytes));
    }

    /** Makes sure that all files created, renamed and deleted in a folder are so on the disk, too. */
    static void flush(Path folder) throws IOException {
        try (FileChannel directory = FileChannel.open(folder, StandardOpenOption.READ)) {
            directory.force(true);
        }
    }

    /** Writes all that remains of a buffer. */
    static void writeFully(WritableByteChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    /**
     * Whether this is the link to a stream of a process: if that is redirected to a file, /dev/stdout is another name
     * of the file.
     */
    private static boolean isStream(Path target) {
        return Files.isSymbolicLink(target) && (target.startsWith("/dev") || target.startsWith("/proc"));
    }

    private static void writeAsItStands(Path target, Content content) {
        try (FileChannel channel = FileChannel.open(target, StandardOpenOption.WRITE, StandardOpenOption.APPEND)) {
            content.writeTo(channel);
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write " + target + ": " + IoReason.of(e), e);
        }
    }

    private static void move(Path temporary, Path target) throws IOException {
        try {
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            throw new IOException("the file system cannot rename atomically", e);
        }
    }
}
