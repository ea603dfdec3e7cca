package io.vblora.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Replaces a file whole or not at all: a temporary file in the same folder, flushed to the disk, renamed over the old
 * one, and the folder flushed. Whatever happens on the way, the file's old content (or absence) stays; where Java still
 * runs, the temporary file is removed. An interrupt of the thread does not keep it from writing, and is still there
 * afterwards. What is no file but can be written to, /dev/stdout for instance, is written to as it stands.
 */
public final class AtomicFile {
    private AtomicFile() {}

    /** Writes the content of a file. */
    @FunctionalInterface
    public interface Content {
        /** Writes all of it, once more if the thread is interrupted; an exception leaves the old file in place. */
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
        if (Files.exists(target) && !Files.isRegularFile(target)) {
            writeAsItStands(target, content);
            return;
        }
        // An interrupt closes the channel that a thread writes to: it is put off, and what it struck is done again.
        boolean interrupted = Thread.interrupted();
        try {
            while (!replace(file, target, content)) {
                interrupted |= Thread.interrupted();
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Returns false if the thread was interrupted on the way. */
    private static boolean replace(Path file, Path target, Content content) {
        Path folder = target.getParent();
        Path temporary = folder.resolve("." + target.getFileName() + "."
                + Long.toUnsignedString(ThreadLocalRandom.current().nextLong(), 36) + ".tmp");
        temporary.toFile().deleteOnExit(); // the finally below does not run when a signal ends the process
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.CREATE_NEW,
                    StandardOpenOption.WRITE)) {
                content.writeTo(channel);
                channel.force(true);
            }
            move(temporary, target);
            try (FileChannel directory = FileChannel.open(folder, StandardOpenOption.READ)) {
                directory.force(true);
            }
            return true;
        } catch (ClosedByInterruptException e) {
            return false;
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write " + file + ": " + e, e);
        } finally {
            // After the move there is nothing of this name.
            temporary.toFile().delete();
        }
    }

    /** Creates or replaces {@code file} with these bytes. */
    public static void write(Path file, byte[] content) {
        write(file, channel -> writeFully(channel, ByteBuffer.wrap(content)));
    }

    /** Writes all that remains of a buffer. */
    static void writeFully(WritableByteChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    private static void writeAsItStands(Path target, Content content) {
        try (FileChannel channel = FileChannel.open(target, StandardOpenOption.WRITE)) {
            content.writeTo(channel);
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write " + target + ": " + e, e);
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
